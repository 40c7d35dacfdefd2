//! A copy of the manifests' sources.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde_json::Value;
use tempfile::TempDir;
use walkdir::WalkDir;

use crate::{Object, tools};

/// The folders that a build reads.
const SOURCES: [&str; 3] = ["manifests", "services/rabbitmq", "dashboards"];

/// Subfolders that no build reads.
const EXCLUDED: [&str; 3] = ["generated", "src", "tests"];

/// A copy of the sources with new secrets.
#[derive(Debug)]
pub struct Tree {
    directory: TempDir,
    kustomize: PathBuf,
}

impl Tree {
    /// Makes the copy. `None` without kustomize; then it reports that `what` is not tested.
    ///
    /// # Errors
    /// When the machine has Go and no kustomize, or when the secrets cannot be generated.
    pub fn new(what: &str) -> Result<Option<Self>> {
        let Some(kustomize) = tools::go_program("kustomize", what)? else {
            return Ok(None);
        };
        let directory = tempfile::tempdir()?;
        for source in SOURCES {
            copy(
                &tools::project_root().join(source),
                &directory.path().join(source),
            )?;
        }
        let tree = Self { directory, kustomize };
        for script in ["make-secrets", "make-certificates"] {
            let path = tree.path().join("manifests/secrets").join(script);
            tools::run(&mut Command::new(path))?;
        }
        Ok(Some(tree))
    }

    /// The copy of the project's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The overlays' names.
    ///
    /// # Errors
    /// When there are none.
    pub fn overlays(&self) -> Result<Vec<String>> {
        self.folders("overlays")
    }

    /// The components' names.
    ///
    /// # Errors
    /// When there are none.
    pub fn components(&self) -> Result<Vec<String>> {
        self.folders("components")
    }

    fn folders(&self, kind: &str) -> Result<Vec<String>> {
        let folder = self.path().join("manifests").join(kind);
        let entries = fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join("kustomization.yaml").is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort();
        anyhow::ensure!(
            !names.is_empty(),
            "{} contains no kustomization",
            folder.display()
        );
        Ok(names)
    }

    /// Builds the base with these components.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn with_components(&self, components: &[&str]) -> Result<Vec<Object>> {
        let mut text = String::from("resources: [../../base]\ncomponents:\n");
        for component in components {
            text.push_str(&format!("  - ../../components/{component}\n"));
        }
        let name = format!("with-{}", components.join("-"));
        let folder = self.path().join("manifests/combinations").join(&name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("kustomization.yaml"), text)?;
        self.build(&format!("combinations/{name}"))
    }

    /// The YAML of a build of `manifests/<path>`.
    ///
    /// # Errors
    /// When it cannot be built.
    pub fn text(&self, path: &str) -> Result<String> {
        let mut command = Command::new(&self.kustomize);
        tools::run(command.arg("build").arg(self.path().join("manifests").join(path)))
    }

    /// The objects of a build of `manifests/<path>`.
    ///
    /// # Errors
    /// When it cannot be built, or is not a list of objects.
    pub fn build(&self, path: &str) -> Result<Vec<Object>> {
        let documents: Vec<Value> = serde_saphyr::from_multiple(&self.text(path)?)?;
        documents.into_iter().map(Object::try_from).collect()
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let files = WalkDir::new(from).into_iter().filter_entry(|entry| {
        !(entry.file_type().is_dir() && EXCLUDED.iter().any(|name| entry.file_name() == *name))
    });
    for entry in files {
        let entry = entry?;
        let target = to.join(entry.path().strip_prefix(from)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target)?;
        } else {
            fs::copy(entry.path(), &target).with_context(|| entry.path().display().to_string())?;
        }
    }
    Ok(())
}

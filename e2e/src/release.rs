//! The next releases of irmgard, made from the tree as it is by the patches of `e2e/release`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::say::say;

/// A release after the present one.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// The tag of its images.
    pub version: &'static str,
    /// What makes it, in `e2e/release`, in this order.
    pub patches: &'static [&'static str],
    /// Images of it that are used.
    images: &'static [&'static str],
}

/// A column is added, and written; nothing needs it yet.
pub const EXPANDED: Release = Release {
    version: "0.2.0-e2e",
    patches: &["expand.patch"],
    // The worker's is the present one by another name: a release without any change of its own.
    images: &["irmgard", "anonymizer"],
};

/// Every row must have it.
pub const CONTRACTED: Release = Release {
    version: "0.3.0-e2e",
    patches: &["expand.patch", "contract.patch"],
    images: &["irmgard"],
};

impl Release {
    /// Builds its images by `manifests/build-images` of a copy of the last commit, which is removed when they are there.
    ///
    /// # Errors
    /// When a patch does not fit any more, or an image cannot be built; with the end of what was said.
    pub fn build(self, project: &Path) -> Result<()> {
        let trees = project.join(".local/e2e/trees");
        fs::create_dir_all(&trees).with_context(|| trees.display().to_string())?;
        let trees = trees.canonicalize()?;
        let tree = trees.join(self.version);
        say(format_args!(
            "building {} of {} (its output: {}.log)",
            self.images.join(", "),
            self.version,
            tree.display()
        ));
        copy(project, &tree)?;
        self.patch(project, &tree)?;
        retag(&tree, self.version)?;
        let log = trees.join(format!("{}.log", self.version));
        let output = fs::File::create(&log)?;
        let status = alone(Command::new(tree.join("manifests/build-images")), &tree)?
            .args(self.images)
            .stderr(output.try_clone()?)
            .stdout(output)
            .status()?;
        let said = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = said.lines().collect();
        ensure!(
            status.success(),
            "manifests/build-images of {}: {}",
            self.version,
            lines[lines.len().saturating_sub(15)..].join("\n")
        );
        fs::remove_dir_all(&tree)?;
        Ok(())
    }

    /// Changes a copy of the project, or of a part that has all that is changed, to this release.
    ///
    /// # Errors
    /// When a patch does not fit any more.
    pub fn patch(self, project: &Path, tree: &Path) -> Result<()> {
        for patch in self.patches {
            let file = project.join("e2e/release").join(patch).canonicalize()?;
            let mut git = alone(Command::new("git"), tree)?;
            git.current_dir(tree).arg("apply").arg(&file);
            run(&mut git).with_context(|| {
                format!("e2e/release/{patch} does not fit the sources any more: make it anew (e2e/release/README.md)")
            })?;
        }
        Ok(())
    }

    /// What an image of it is called, when the present one is called so.
    #[must_use]
    pub fn image(self, present: &str) -> String {
        let name = present.rsplit_once(':').map_or(present, |(name, _)| name);
        format!("{name}:{}", self.version)
    }
}

/// The tree of the last commit.
fn copy(project: &Path, tree: &Path) -> Result<()> {
    let archive: PathBuf = tree.with_extension("tar");
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    fs::create_dir_all(tree)?;
    run(Command::new("git")
        .current_dir(project)
        // The rights that a checkout has: where they differ, layers of an image are made anew.
        .args(["-c", "tar.umask=user", "archive", "--output"])
        .arg(&archive)
        .arg("HEAD"))?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(tree))?;
    Ok(fs::remove_file(&archive)?)
}

/// Ours are called by another version there.
fn retag(tree: &Path, version: &str) -> Result<()> {
    let path = tree.join("manifests/images/kustomization.yaml");
    let text = fs::read_to_string(&path)?;
    let present = format!("newTag: {}\n", env!("CARGO_PKG_VERSION"));
    ensure!(text.contains(&present), "{}: no {present}", path.display());
    Ok(fs::write(
        path,
        text.replace(&present, &format!("newTag: {version}\n")),
    )?)
}

/// A command for which the tree is no part of the project: git would take the patch's paths for the project's own.
fn alone(mut command: Command, tree: &Path) -> Result<Command> {
    let tree = tree.canonicalize()?;
    command
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(&tree))
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        // Programs that are built already are those of the present release.
        .env_remove("IMAGE_FROM");
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    ensure!(
        output.status.success(),
        "{:?}: {}",
        command.get_program(),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// What the patches change.
    const FOLDERS: [&str; 2] = ["services/irmgard/migrations", "services/irmgard/src/photo"];

    fn patched(release: Release) -> TempDir {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tree = tempfile::tempdir().unwrap();
        for folder in FOLDERS {
            let target = tree.path().join(folder);
            fs::create_dir_all(&target).unwrap();
            for entry in fs::read_dir(project.join(folder)).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, target.join(path.file_name().unwrap())).unwrap();
            }
        }
        release.patch(&project, tree.path()).unwrap();
        tree
    }

    /// Versions of the migrations, ascending.
    fn versions(tree: &Path) -> Vec<u32> {
        let mut versions: Vec<u32> = fs::read_dir(tree.join(FOLDERS[0]))
            .unwrap()
            .map(|entry| {
                let name = entry.unwrap().file_name().into_string().unwrap();
                name.split_once('_').unwrap().0.parse().unwrap()
            })
            .collect();
        versions.sort_unstable();
        versions
    }

    #[test]
    fn each_release_is_one_migration_ahead_of_the_one_before() {
        let present = versions(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        for (release, ahead) in [(EXPANDED, 1), (CONTRACTED, 2)] {
            let tree = patched(release);
            let versions = versions(tree.path());
            assert_eq!(versions.len(), present.len() + ahead, "{}", release.version);
            assert!(
                versions.windows(2).all(|pair| pair[1] == pair[0] + 1),
                "{versions:?}"
            );
        }
    }

    #[test]
    fn the_program_that_is_patched_is_rust_and_writes_the_column() {
        let tree = patched(EXPANDED);
        let path = tree.path().join(FOLDERS[1]).join("insert.rs");
        assert!(fs::read_to_string(&path).unwrap().contains("received_by"));
        // It can be read as Rust: rustfmt fails on what cannot.
        let output = Command::new("rustfmt")
            .args(["--edition", "2024", "--emit", "stdout"])
            .arg(&path)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    #[test]
    fn only_the_tag_differs() {
        assert_eq!(
            EXPANDED.image("localhost:5000/irmgard:0.1.0"),
            "localhost:5000/irmgard:0.2.0-e2e"
        );
    }
}

//! The next releases of irmgard, built from the last commit and the patches in `e2e/release`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::console::print_progress;

/// A future release.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    pub version: &'static str,
    /// Files in `e2e/release`, in the order of their application.
    pub patches: &'static [&'static str],
    images: &'static [&'static str],
}

/// Adds a column and writes it. Nothing requires it yet.
pub const EXPANDED: Release = Release {
    version: "0.2.0-e2e",
    patches: &["expand.patch"],
    // The worker has no change: this release only gives its image a new tag.
    images: &["irmgard", "anonymizer"],
};

/// Makes the column NOT NULL.
pub const CONTRACTED: Release = Release {
    version: "0.3.0-e2e",
    patches: &["expand.patch", "contract.patch"],
    images: &["irmgard"],
};

impl Release {
    /// Builds the images with `manifests/build-images` from a patched copy of the last commit, and removes the copy.
    ///
    /// # Errors
    /// When a patch does not apply or an image cannot be built; with the end of the output.
    pub fn build(self, project: &Path) -> Result<()> {
        let trees = project.join(".local/e2e/trees");
        fs::create_dir_all(&trees).with_context(|| trees.display().to_string())?;
        let trees = trees.canonicalize()?;
        let tree = trees.join(self.version);
        print_progress(format_args!(
            "building {} of {} (its output: {}.log)",
            self.images.join(", "),
            self.version,
            tree.display()
        ));
        copy_head(project, &tree)?;
        self.patch(project, &tree)?;
        set_image_tags(&tree, self.version)?;
        let log = trees.join(format!("{}.log", self.version));
        let output = fs::File::create(&log)?;
        let status = isolated(Command::new(tree.join("manifests/build-images")), &tree)?
            .args(self.images)
            .stderr(output.try_clone()?)
            .stdout(output)
            .status()?;
        let text = fs::read_to_string(&log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        ensure!(
            status.success(),
            "manifests/build-images of {}: {}",
            self.version,
            lines[lines.len().saturating_sub(15)..].join("\n")
        );
        fs::remove_dir_all(&tree)?;
        Ok(())
    }

    /// Patches a copy of the project. The copy may contain only the changed folders.
    ///
    /// # Errors
    /// When a patch does not apply.
    pub fn patch(self, project: &Path, tree: &Path) -> Result<()> {
        for patch in self.patches {
            let file = project.join("e2e/release").join(patch).canonicalize()?;
            let mut git = isolated(Command::new("git"), tree)?;
            git.current_dir(tree).arg("apply").arg(&file);
            run(&mut git).with_context(|| {
                format!("e2e/release/{patch} does not apply to the sources any more: update it (e2e/release/README.md)")
            })?;
        }
        Ok(())
    }

    /// The name of this release's image, from the name of the current one.
    #[must_use]
    pub fn image(self, current: &str) -> String {
        let name = current.rsplit_once(':').map_or(current, |(name, _)| name);
        format!("{name}:{}", self.version)
    }
}

/// Copies the tree of the last commit.
fn copy_head(project: &Path, tree: &Path) -> Result<()> {
    let archive: PathBuf = tree.with_extension("tar");
    if tree.exists() {
        fs::remove_dir_all(tree)?;
    }
    fs::create_dir_all(tree)?;
    run(Command::new("git")
        .current_dir(project)
        // The file modes of a checkout. Other modes would invalidate cached image layers.
        .args(["-c", "tar.umask=user", "archive", "--output"])
        .arg(&archive)
        .arg("HEAD"))?;
    run(Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(tree))?;
    Ok(fs::remove_file(&archive)?)
}

/// Gives our images this tag.
fn set_image_tags(tree: &Path, version: &str) -> Result<()> {
    let path = tree.join("manifests/images/kustomization.yaml");
    let text = fs::read_to_string(&path)?;
    let current = format!("newTag: {}\n", env!("CARGO_PKG_VERSION"));
    ensure!(text.contains(&current), "{}: no {current}", path.display());
    Ok(fs::write(
        path,
        text.replace(&current, &format!("newTag: {version}\n")),
    )?)
}

/// Hides the project's repository from a command in the copy. Otherwise git would resolve the patch's paths in the project.
fn isolated(mut command: Command, tree: &Path) -> Result<Command> {
    let tree = tree.canonicalize()?;
    command
        .env("GIT_CEILING_DIRECTORIES", tree.parent().unwrap_or(&tree))
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        // Programs that are already built belong to the current release.
        .env_remove("IMAGE_FROM");
    Ok(command)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
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

    /// The folders that the patches change.
    const FOLDERS: [&str; 2] = ["services/irmgard/migrations", "services/irmgard/src/photo"];

    fn patched_copy(release: Release) -> TempDir {
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

    /// The versions of the migrations, ascending.
    fn migration_versions(tree: &Path) -> Vec<u32> {
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
    fn each_release_adds_one_migration() {
        let current = migration_versions(&Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
        for (release, ahead) in [(EXPANDED, 1), (CONTRACTED, 2)] {
            let tree = patched_copy(release);
            let versions = migration_versions(tree.path());
            assert_eq!(versions.len(), current.len() + ahead, "{}", release.version);
            assert!(
                versions.windows(2).all(|pair| pair[1] == pair[0] + 1),
                "{versions:?}"
            );
        }
    }

    #[test]
    fn the_patched_program_is_valid_rust_and_writes_the_column() {
        let tree = patched_copy(EXPANDED);
        let path = tree.path().join(FOLDERS[1]).join("insert.rs");
        assert!(fs::read_to_string(&path).unwrap().contains("received_by"));
        // rustfmt fails on invalid Rust.
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

//! The images of the next releases. Each is an image of irmgard with the feature `failpoints` and a value of `NEXT_RELEASE`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

use crate::console::print_progress;

/// The tag of the image with the feature `failpoints`.
const TAG: &str = "next-e2e";

/// A future release.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    version: &'static str,
    /// The value of `NEXT_RELEASE`.
    step: &'static str,
    /// The number of its migration in `e2e/release/migrations`.
    pub schema_version: i64,
}

/// Adds a column and writes it. Nothing requires it yet.
pub const EXPANDED: Release = Release {
    version: "0.2.0-e2e",
    step: "expand",
    schema_version: 9001,
};

/// Makes the column NOT NULL.
pub const CONTRACTED: Release = Release {
    version: "0.3.0-e2e",
    step: "contract",
    schema_version: 9002,
};

impl Release {
    /// The name of this release's image, from the name of the current one.
    pub fn image(self, current: &str) -> String {
        with_tag(current, self.version)
    }
}

fn with_tag(image: &str, tag: &str) -> String {
    let name = image.rsplit_once(':').map_or(image, |(name, _)| name);
    format!("{name}:{tag}")
}

/// Builds the images of the next releases from the last commit. The worker's release has no change, only a tag.
///
/// # Errors
/// When an image cannot be built; with the end of the output.
pub fn build(project: &Path, irmgard: &str, worker: &str) -> Result<()> {
    let trees = project.join(".local/e2e/trees");
    fs::create_dir_all(&trees).with_context(|| trees.display().to_string())?;
    let trees = trees.canonicalize()?;
    let tree = trees.join(TAG);
    print_progress(format_args!(
        "building the next releases (output: {}.log)",
        tree.display()
    ));
    copy_head(project, &tree)?;
    enable_failpoints(&tree)?;
    let log = tree.with_extension("log");
    run_logged(
        Command::new(tree.join("manifests/build-images")).arg("irmgard"),
        &log,
    )?;
    let base = with_tag(irmgard, TAG);
    for (name, dockerfile) in [
        (EXPANDED.image(irmgard), release_dockerfile(&base, EXPANDED)),
        (CONTRACTED.image(irmgard), release_dockerfile(&base, CONTRACTED)),
        (EXPANDED.image(worker), format!("FROM {worker}\n")),
    ] {
        let folder = tempfile::tempdir()?;
        fs::write(folder.path().join("Dockerfile"), dockerfile)?;
        let build = env::var("IMAGE_BUILD").unwrap_or_else(|_| "docker build".to_owned());
        let mut words = build.split_whitespace();
        let program = words.next().context("IMAGE_BUILD is empty")?;
        let mut command = Command::new(program);
        command.args(words).arg(folder.path()).args(["-t", &name]);
        run_logged(&mut command, &log)?;
    }
    Ok(fs::remove_dir_all(&tree)?)
}

fn release_dockerfile(base: &str, release: Release) -> String {
    format!("FROM {base}\nENV NEXT_RELEASE={}\n", release.step)
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

/// Gives our images another tag, and irmgard the feature `failpoints`.
fn enable_failpoints(tree: &Path) -> Result<()> {
    let tag = concat!("newTag: ", env!("CARGO_PKG_VERSION"), "\n");
    let build = "cargo build --release --locked --package irmgard ";
    replace(
        tree,
        "manifests/images/kustomization.yaml",
        tag,
        &format!("newTag: {TAG}\n"),
    )?;
    let with_feature = format!("{build}--features irmgard/failpoints ");
    replace(tree, "services/irmgard/Dockerfile", build, &with_feature)
}

fn replace(tree: &Path, file: &str, from: &str, to: &str) -> Result<()> {
    let path = tree.join(file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    ensure!(text.contains(from), "{file} does not contain `{}`", from.trim());
    Ok(fs::write(path, text.replace(from, to))?)
}

/// Runs a command with its output in a file.
fn run_logged(command: &mut Command, log: &Path) -> Result<()> {
    let output = fs::File::create(log)?;
    let status = command
        // Programs that are already built belong to the current release.
        .env_remove("IMAGE_FROM")
        .stderr(output.try_clone()?)
        .stdout(output)
        .status()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(15)..].join("\n");
    ensure!(status.success(), "{:?}: {last}", command.get_program());
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {:?}", command.get_program()))?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{:?}: {}",
        command.get_program(),
        error.trim()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_can_be_built_with_failpoints() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let tree = tempfile::tempdir().unwrap();
        for file in [
            "manifests/images/kustomization.yaml",
            "services/irmgard/Dockerfile",
        ] {
            let target = tree.path().join(file);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(project.join(file), target).unwrap();
        }
        enable_failpoints(tree.path()).unwrap();
        let dockerfile = fs::read_to_string(tree.path().join("services/irmgard/Dockerfile")).unwrap();
        assert!(
            dockerfile.contains("--features irmgard/failpoints --package anonymizer"),
            "{dockerfile}"
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

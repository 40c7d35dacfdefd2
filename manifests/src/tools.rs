//! The programs and schemas that `local/install` installs.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};

/// The strict schemas (no unknown members) of the Kubernetes version that the manifests support.
const SCHEMAS: &str = ".local/kubernetes/1.34.json";

/// The project's folder.
#[must_use]
pub fn project_root() -> PathBuf {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifests.parent().unwrap_or(manifests).to_owned()
}

/// A Go program: from `.local/bin`, where `local/install` puts it, or from PATH. `None` on a machine without Go; then it reports
/// that `what` is not tested.
///
/// # Errors
/// When the machine has Go and the program is not installed.
pub fn go_program(name: &str, what: &str) -> Result<Option<PathBuf>> {
    let installed = project_root().join(".local/bin").join(name);
    if let Some(found) = installed.is_file().then_some(installed).or_else(|| on_path(name)) {
        return Ok(Some(found));
    }
    if on_path("go").is_some() {
        bail!("{name} is not installed: run make setup");
    }
    not_tested(&format!("{what}: neither {name} nor Go is installed"));
    Ok(None)
}

/// The schema file.
///
/// # Errors
/// When it does not exist.
pub fn schemas() -> Result<PathBuf> {
    let file = project_root().join(SCHEMAS);
    if !file.is_file() {
        bail!(
            "Kubernetes' schemas are not at {}: run make setup",
            file.display()
        );
    }
    Ok(file)
}

/// Runs a command and returns its standard output.
///
/// # Errors
/// When it fails. The error contains its standard error.
pub fn run(command: &mut Command) -> Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{} cannot be started", command.get_program().display()))?;
    if !output.status.success() {
        let arguments: Vec<_> = command.get_args().map(OsStr::to_string_lossy).collect();
        bail!(
            "{} {} failed: {}",
            command.get_program().display(),
            arguments.join(" "),
            diagnostics(&output)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn diagnostics(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    if error.trim().is_empty() {
        String::from_utf8_lossy(&output.stdout).into_owned()
    } else {
        error.into_owned()
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// Writes to standard error directly, because the test harness hides the output of passing tests. `local/test` repeats the line.
fn not_tested(what: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(io::stderr(), "not tested: {what}");
}

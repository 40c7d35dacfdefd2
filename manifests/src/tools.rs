//! The programs and the schemas that `local/install` gets, and what is said where nothing offers them.

use std::{
    env,
    ffi::OsStr,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, Result, bail};

/// Kubernetes' schemas, strict (no unknown members), of the version that the manifests are made for.
const SCHEMAS: &str = ".local/kubernetes/1.34.json";

/// Where the project lies.
#[must_use]
pub fn project() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own).to_owned()
}

/// A program that is written in Go: of `.local/bin`, where `local/install` puts it, else of PATH. None on a machine that has no Go
/// to make it with; then that `what` is not tested is said.
///
/// # Errors
/// When it could be there and is not.
pub fn go_program(name: &str, what: &str) -> Result<Option<PathBuf>> {
    let own = project().join(".local/bin").join(name);
    if let Some(found) = own.is_file().then_some(own).or_else(|| on_path(name)) {
        return Ok(Some(found));
    }
    if on_path("go").is_some() {
        bail!("{name} is not installed: run make setup");
    }
    not_tested(&format!("{what}: there is no {name}, and no Go to make it with"));
    Ok(None)
}

/// The file of Kubernetes' schemas.
///
/// # Errors
/// When it is not there.
pub fn schemas() -> Result<PathBuf> {
    let file = project().join(SCHEMAS);
    if !file.is_file() {
        bail!(
            "Kubernetes' schemas are not at {}: run make setup",
            file.display()
        );
    }
    Ok(file)
}

/// Runs a command; what it says on standard output.
///
/// # Errors
/// When it fails: with what it said on standard error.
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
            said(&output)
        );
    }
    Ok(String::from_utf8(output.stdout)?)
}

fn said(output: &Output) -> String {
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

/// Past the test harness, which shows nobody what a test prints that passes; `local/test` repeats it at the end.
fn not_tested(what: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "not tested: {what}");
}

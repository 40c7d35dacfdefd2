//! This project's files: its root, its built programs and its installed library.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};

/// The root of the project that this program was built from.
#[must_use]
pub fn project_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// A program of this workspace: in the running program's folder, or for a test one folder up.
///
/// # Errors
/// [`Error::NotBuilt`] when it does not exist.
pub fn program(name: &str) -> Result<PathBuf> {
    let executable = env::current_exe().context(|| "cannot find the path of this program".into())?;
    let folder = executable.parent().unwrap_or(Path::new("/"));
    let folder = if folder.ends_with("deps") {
        folder.parent().unwrap_or(folder)
    } else {
        folder
    };
    let path = folder.join(name);
    if path.is_file() {
        return Ok(path);
    }
    let release = if folder.ends_with("release") {
        " --release"
    } else {
        ""
    };
    Err(Error::NotBuilt {
        program: name.into(),
        looked_in: folder.into(),
        command: format!("cargo build{release} -p {name}"),
    })
}

/// Set by `local exec`: the path of `local`, for tests of crates whose build does not include it.
const LOCAL_PROGRAM: &str = "LOCAL_PROGRAM";

/// The program `local`.
pub(crate) fn local_program() -> Result<PathBuf> {
    match env::var_os(LOCAL_PROGRAM) {
        Some(path) => Ok(path.into()),
        None => program("local"),
    }
}

/// The first file with this name on PATH, or in Debian's directories that only root has on PATH.
pub(crate) fn find_on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into(), "/usr/bin".into()])
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// A program of the operating system.
pub(crate) fn system_program(name: &str, package: &'static str) -> Result<PathBuf> {
    find_on_path(name).ok_or_else(|| Error::MissingProgram {
        program: name.into(),
        package,
    })
}

/// Names the ONNX Runtime library to the detector.
const ONNX_RUNTIME_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The library that `local/install` puts into the project.
const ONNX_RUNTIME_FILE: &str = ".local/onnxruntime/libonnxruntime.so.1.31.1";

/// Passes `ORT_DYLIB_PATH` on. If it is not set, passes the installed library, if any.
pub(crate) fn write_onnx_runtime(environment: &mut BTreeMap<String, String>) {
    let configured = env::var(ONNX_RUNTIME_VARIABLE)
        .ok()
        .filter(|path| !path.is_empty());
    let path = configured.or_else(|| {
        let path = project_root().join(ONNX_RUNTIME_FILE);
        path.is_file().then(|| path.display().to_string())
    });
    if let Some(path) = path {
        environment.insert(ONNX_RUNTIME_VARIABLE.into(), path);
    }
}

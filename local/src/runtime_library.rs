//! The ONNX Runtime library that `local/install` has put into the project.

use std::env;
use std::path::{Path, PathBuf};

/// The variable that names the library to the detector.
pub(crate) const VARIABLE: &str = "ORT_DYLIB_PATH";

const FILE: &str = ".local/onnxruntime/libonnxruntime.so.1.31.1";

/// The root of the project that this program was built from.
#[must_use]
pub fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// What `ORT_DYLIB_PATH` says, else the installed library, if it is there.
pub(crate) fn path() -> Option<String> {
    env::var(VARIABLE)
        .ok()
        .filter(|path| !path.is_empty())
        .or_else(|| {
            let path = project().join(FILE);
            path.is_file().then(|| path.display().to_string())
        })
}

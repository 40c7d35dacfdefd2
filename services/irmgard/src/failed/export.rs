//! One original, written to a file.

use std::{
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chassis::store::Store;
use contract::{ObjectLocation, PhotoId};

/// No upload is larger, whatever the limit is set to.
const MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Writes the original to `<directory>/<id>.<extension>`, readable for the
/// owner only; a file that is there already is not touched.
pub(super) async fn write(
    store: &Store,
    original: &ObjectLocation,
    id: PhotoId,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    // Of the key only the extension, of a form that cannot leave the folder.
    let extension = Path::new(original.key())
        .extension()
        .and_then(|extension| extension.to_str())
        .filter(|extension| extension.bytes().all(|b| b.is_ascii_alphanumeric()))
        .unwrap_or("bin");
    let path = directory.join(format!("{id}.{extension}"));
    let bytes = store
        .get(original, MAX_BYTES)
        .await
        .with_context(|| format!("original of photo {id}"))?;
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("{} cannot be written", path.display()))?;
    file.write_all(&bytes)
        .and_then(|()| file.sync_all())
        .inspect_err(|_| {
            // Half an original is of no use to anybody.
            let _ = std::fs::remove_file(&path);
        })
        .with_context(|| format!("{} cannot be written", path.display()))?;
    Ok(path)
}

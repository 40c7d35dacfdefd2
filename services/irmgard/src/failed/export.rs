//! Exports an original to a file.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use contract::PhotoId;
use service_runtime::{shutdown, store::Store};
use sha2::{Digest, Sha256};
use tempfile::{Builder, NamedTempFile};

use super::Original;

/// No upload is larger, whatever the configured limit.
const MAX_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Writes the original to `<directory>/<id>.<extension>`, readable for the owner only.
///
/// The file appears once it is complete, on disk and identical to the upload. An existing file is not
/// changed. After SIGINT or SIGTERM, no file is left.
pub(super) async fn export_original(
    store: &Store,
    original: &Original,
    id: PhotoId,
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    // Take only the extension from the key, in a form that cannot leave the folder.
    let extension = Path::new(original.location.key())
        .extension()
        .and_then(|extension| extension.to_str())
        .filter(|extension| extension.bytes().all(|b| b.is_ascii_alphanumeric()))
        .unwrap_or("bin");
    let path = directory.join(format!("{id}.{extension}"));
    if path.symlink_metadata().is_ok() {
        bail!(
            "{} exists already: remove it, or use another folder",
            path.display()
        );
    }
    let unwritable = || format!("{} cannot be written", path.display());
    let stop = shutdown::on_signals()?;
    // Readable for its owner only; deleted when dropped.
    let mut file = Builder::new()
        .prefix(&format!(".{id}-"))
        .suffix(".part")
        .tempfile_in(directory)
        .with_context(unwritable)?;
    let Some(copied) = stop.run_until_cancelled(copy(store, original, &mut file)).await else {
        bail!("the export of photo {id} was stopped: nothing was written");
    };
    copied.with_context(|| format!("original of photo {id}"))?;
    file.as_file().sync_all().with_context(unwritable)?;
    file.persist_noclobber(&path).with_context(unwritable)?;
    // Sync the folder as well, so that the file's name is on disk.
    File::open(directory)
        .and_then(|folder| folder.sync_all())
        .with_context(unwritable)?;
    Ok(path)
}

/// Copies the object in chunks and compares it with its row.
async fn copy(store: &Store, original: &Original, file: &mut NamedTempFile) -> anyhow::Result<()> {
    let mut download = store.download(&original.location, MAX_BYTES).await?;
    let (mut size_bytes, mut sha256) = (0, Sha256::new());
    while let Some(chunk) = download.next().await? {
        size_bytes += chunk.len() as u64;
        sha256.update(&chunk);
        file.write_all(&chunk)
            .with_context(|| format!("{} cannot be written", file.path().display()))?;
    }
    if u64::try_from(original.size_bytes).ok() != Some(size_bytes)
        || original.sha256 != sha256.finalize().as_slice()
    {
        bail!(
            "{} is not what was uploaded: it has {size_bytes} bytes, the upload had {}; its SHA-256 must be {}. \
             Look at the object in the store",
            original.location,
            original.size_bytes,
            hex::encode(&original.sha256)
        );
    }
    Ok(())
}

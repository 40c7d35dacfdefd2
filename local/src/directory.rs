//! Where a stack keeps its files.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use nix::unistd::Uid;

use crate::error::{Context, Result};
use crate::process::Identity;
use crate::secret;

const PREFIX: &str = "irmgard-local.";

/// A directory that goes away with this value, and with the next stack's start when this process was killed.
#[derive(Debug)]
pub(crate) struct Temporary(PathBuf);

impl Temporary {
    /// A new one, named after this process. PostgreSQL's account may pass through it.
    pub(crate) fn new() -> Result<Self> {
        let base = env::temp_dir();
        remove_orphans(&base);
        let pid = i32::try_from(process::id()).unwrap_or_default();
        let (started, boot) = Identity::of(pid).map_or((0, 0), |identity| (identity.started, identity.boot));
        let path = base.join(format!("{PREFIX}{pid}.{started}.{boot}.{}", secret::suffix()?));
        DirBuilder::new()
            .mode(0o711)
            .create(&path)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o711)))
            .context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // What cannot be removed now is removed by the next stack.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes what killed processes have left: the owner's pid and start time are in the name.
fn remove_orphans(base: &Path) {
    for entry in fs::read_dir(base).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let mut parts = rest.split('.').map(str::parse::<u64>);
        let (Some(Ok(pid)), Some(Ok(started)), Some(Ok(boot))) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let owner = Identity {
            pid: i32::try_from(pid).unwrap_or_default(),
            started,
            boot,
        };
        if !owner.alive() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Where a lasting stack keeps its data: in `wanted`, or, when PostgreSQL's account cannot reach that, below `/var/tmp`.
pub(crate) fn lasting(wanted: &Path) -> Result<PathBuf> {
    let path = match wanted.parent() {
        Some(parent) if !reachable(parent) => {
            Path::new("/var/tmp").join(format!("irmgard-stack.{}", secret::suffix()?))
        }
        _ => wanted.to_path_buf(),
    };
    DirBuilder::new()
        .mode(0o711)
        .recursive(true)
        .create(&path)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o711)))
        .context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Whether other accounts can reach a directory: only a question when we are root.
pub(crate) fn reachable(path: &Path) -> bool {
    !Uid::effective().is_root()
        || path
            .ancestors()
            .all(|ancestor| fs::metadata(ancestor).is_ok_and(|data| data.permissions().mode() & 0o001 != 0))
}

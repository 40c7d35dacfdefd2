//! Where a stack keeps its files, and how long its processes live.

use std::env;
use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;

use crate::error::{Context, Result};
use crate::node::Node;
use crate::process::{Lifetime, LogDestination, ProcessIdentity, is_root};
use crate::secret;

/// The directory of a stack, and what makes the stack persistent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StackLayout<'s> {
    pub directory: &'s Path,
    /// Of a persistent stack: the journal of its processes, and its pods.
    pub persistent: Option<(&'s Path, &'s Node)>,
}

impl StackLayout<'_> {
    /// The output of a component: this file, or in a persistent stack the log of its pod.
    pub(crate) fn output(&self, component: &str, file: &str) -> Result<LogDestination> {
        match self.persistent {
            Some((_, node)) => node.output(component),
            None => Ok(LogDestination::File(self.directory.join(file))),
        }
    }

    /// A process of a persistent stack is detached; any other ends with its parent, by this signal.
    pub(crate) fn lifetime(&self, signal: &str) -> Lifetime {
        match self.persistent {
            Some((journal, _)) => Lifetime::Detached(journal.into()),
            None => Lifetime::WithParent(signal.into()),
        }
    }

    /// Whether servers log to standard output instead of a log file.
    pub(crate) fn logs_to_stdout(&self) -> bool {
        self.persistent.is_some()
    }

    /// The log file of a server, if it writes one.
    pub(crate) fn log_file(&self, path: PathBuf) -> Option<PathBuf> {
        (!self.logs_to_stdout()).then_some(path)
    }
}

const PREFIX: &str = "irmgard-local.";

/// A directory that is removed when this value is dropped. If this process is killed, the next stack removes it.
#[derive(Debug)]
pub(crate) struct TempDirectory(PathBuf);

impl TempDirectory {
    /// Creates a directory named after this process. Mode 711, so that PostgreSQL's account can pass through it.
    pub(crate) fn new() -> Result<Self> {
        let base = env::temp_dir();
        remove_orphans(&base);
        let pid = i32::try_from(process::id()).unwrap_or_default();
        let (started, boot) =
            ProcessIdentity::from_pid(pid).map_or((0, 0), |identity| (identity.started, identity.boot));
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

impl Drop for TempDirectory {
    fn drop(&mut self) {
        // The next stack removes what is left.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Removes the directories of killed processes. The name contains the owner's pid and start time.
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
        let owner = ProcessIdentity {
            pid: i32::try_from(pid).unwrap_or_default(),
            started,
            boot,
        };
        if !owner.alive() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Creates the data directory of a persistent stack: `preferred`, or one below `/var/tmp` if PostgreSQL's account cannot reach
/// that.
pub(crate) fn persistent_directory(preferred: &Path) -> Result<PathBuf> {
    let path = match preferred.parent() {
        Some(parent) if !is_reachable(parent) => {
            Path::new("/var/tmp").join(format!("irmgard-stack.{}", secret::suffix()?))
        }
        _ => preferred.to_path_buf(),
    };
    DirBuilder::new()
        .mode(0o711)
        .recursive(true)
        .create(&path)
        .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o711)))
        .context(|| format!("cannot create {}", path.display()))?;
    Ok(path)
}

/// Whether other accounts can reach a directory. Always true unless this process runs as root.
pub(crate) fn is_reachable(path: &Path) -> bool {
    !is_root()
        || path
            .ancestors()
            .all(|ancestor| fs::metadata(ancestor).is_ok_and(|data| data.permissions().mode() & 0o001 != 0))
}

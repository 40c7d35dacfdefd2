//! The operating system accounts of servers that refuse to run as root, and their private files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::unistd::{Uid, User};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// An account of the operating system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub name: String,
    pub user: u32,
    pub group: u32,
}

/// Whether this process runs as root.
pub(crate) fn is_root() -> bool {
    Uid::effective().is_root()
}

impl Account {
    /// The account with this name, if it exists.
    pub(crate) fn find(name: &str) -> Option<Self> {
        let user = User::from_name(name).ok().flatten()?;
        Some(Self {
            name: user.name,
            user: user.uid.as_raw(),
            group: user.gid.as_raw(),
        })
    }

    /// The arguments with which setpriv(1) switches to the account.
    pub(crate) fn setpriv_arguments(&self) -> [String; 3] {
        [
            format!("--reuid={}", self.user),
            format!("--regid={}", self.group),
            "--init-groups".into(),
        ]
    }
}

/// Sets the mode of a file or directory, and gives it to the account, if any.
pub(crate) fn set_owner(path: &Path, mode: u32, account: Option<&Account>) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
        .and_then(|()| match account {
            Some(account) => chown(path, Some(account.user), Some(account.group)),
            None => Ok(()),
        })
        .context(|| format!("cannot change the owner of {}", path.display()))
}

/// Creates a directory that only the account can use; without an account, only this process's.
pub(crate) fn create_private_directory(path: &Path, account: Option<&Account>) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("cannot create {}", path.display()))?;
    set_owner(path, 0o700, account)
}

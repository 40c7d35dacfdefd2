//! Where a program's standard output and error go.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::node::log_writer::{Limits, Stream, printed};

/// Where a program's standard output and error go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Both are appended to this file.
    File(PathBuf),
    /// They are kept as the kubelet keeps a container's log.
    Container(Container),
}

/// The log of a container: a process of its own writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Where its files are.
    pub directory: PathBuf,
    /// Pipes with names that the program writes to, too: whether to standard error, and where.
    pub(crate) fifos: Vec<(bool, PathBuf)>,
    /// How large a file may become, and how many are kept.
    pub(crate) limits: Limits,
    /// What is told of lines that cannot be written.
    pub(crate) complaints: PathBuf,
}

impl Container {
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "log-writer".to_owned(),
            "--directory".to_owned(),
            self.directory.display().to_string(),
            format!("--bytes={}", self.limits.bytes),
            format!("--files={}", self.limits.files),
        ];
        for (errors, path) in &self.fifos {
            let stream = if *errors { Stream::Stderr } else { Stream::Stdout };
            arguments.push(format!("--{}-fifo={}", stream.name(), path.display()));
        }
        arguments
    }
}

impl Output {
    /// The file, or the folder of the files.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Container(container) => &container.directory,
        }
    }

    /// What was written so far, without what a log adds to it. Nothing where it cannot be read.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        match self {
            Self::File(path) => fs::read(path).unwrap_or_default(),
            Self::Container(container) => printed(&container.directory),
        }
    }
}

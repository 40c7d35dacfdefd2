//! The destination of a program's standard output and error.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::container_log::{Limits, Stream, read_output};

/// The destination of a program's standard output and error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogDestination {
    /// Both are appended to this file.
    File(PathBuf),
    /// A container log in the kubelet's format.
    Container(ContainerLog),
}

/// The log of a container. A separate process writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerLog {
    pub directory: PathBuf,
    /// Named pipes with more output of the program. True: the pipe counts as standard error.
    pub(crate) fifos: Vec<(bool, PathBuf)>,
    pub(crate) limits: Limits,
    /// The file for errors of the log writer.
    #[serde(rename = "complaints")]
    pub(crate) writer_errors: PathBuf,
}

impl ContainerLog {
    pub(super) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            "log-writer".to_owned(),
            "--directory".to_owned(),
            self.directory.display().to_string(),
            format!("--bytes={}", self.limits.bytes),
            format!("--files={}", self.limits.files),
        ];
        for (is_stderr, path) in &self.fifos {
            let stream = if *is_stderr {
                Stream::Stderr
            } else {
                Stream::Stdout
            };
            arguments.push(format!("--{}-fifo={}", stream.name(), path.display()));
        }
        arguments
    }
}

impl LogDestination {
    /// The file, or the folder of the container log.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Container(container) => &container.directory,
        }
    }

    /// The output so far, without the prefixes of the container log. Empty if it cannot be read.
    #[must_use]
    pub fn read(&self) -> Vec<u8> {
        match self {
            Self::File(path) => fs::read(path).unwrap_or_default(),
            Self::Container(container) => read_output(&container.directory),
        }
    }
}

//! Where the processes of a stack keep their files, and how long they live.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::node::Node;
use crate::process::{Lifetime, Output};

/// Where the processes of a stack keep their files, and how long they live.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'s> {
    /// All files are below.
    pub directory: &'s Path,
    /// What goes on when this process ends: the list of its processes, and its pods.
    pub lasting: Option<(&'s Path, &'s Node)>,
}

impl Site<'_> {
    /// Where a component's output goes: to this file, or, where the stack lasts, to the log of its pod.
    pub(crate) fn output(&self, component: &str, file: &str) -> Result<Output> {
        match self.lasting {
            Some((_, node)) => node.output(component),
            None => Ok(Output::File(self.directory.join(file))),
        }
    }

    /// How long a process lives: it lasts, or ends with the parent by this signal.
    pub(crate) fn lifetime(&self, signal: &str) -> Lifetime {
        match self.lasting {
            Some((journal, _)) => Lifetime::Detached(journal.into()),
            None => Lifetime::WithParent(signal.into()),
        }
    }

    /// Whether what a process logs goes to its output, and to no file of its own.
    pub(crate) fn is_node(&self) -> bool {
        self.lasting.is_some()
    }

    /// A server's own log file, where it writes one.
    pub(crate) fn own_log(&self, path: PathBuf) -> Option<PathBuf> {
        (!self.is_node()).then_some(path)
    }
}

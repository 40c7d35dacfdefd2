//! `--source`: who is asked for lines.

use clap::{Args, ValueEnum};

use crate::source::kubectl::Program;

/// Who is asked for lines, where no files are named.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct Asked {
    /// Who is asked for lines, where no files are named
    #[arg(long, value_enum, default_value_t, env = "LOGQ_SOURCE")]
    pub source: From,
    /// How pods are asked.
    #[command(flatten)]
    pub kubectl: Program,
}

/// Who is asked for lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// OpenSearch; the pods where it cannot be reached or never had a line of theirs
    #[default]
    Auto,
    /// OpenSearch: all that Fluentd has brought there
    Opensearch,
    /// The pods themselves: what their nodes still hold
    Kubectl,
    /// Both, each line once
    Both,
}

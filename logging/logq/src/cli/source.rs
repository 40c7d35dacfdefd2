//! `--source`: who is asked for lines.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// Who is asked for lines, where no files are named.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct Asked {
    /// Who is asked for lines, where no files are named
    #[arg(long, value_enum, default_value_t, env = "LOGQ_SOURCE")]
    pub source: From,
    /// The context of the kubeconfig whose pods are asked, in place of the current one
    #[arg(long, value_name = "NAME")]
    pub kube_context: Option<String>,
    /// The kubeconfig that kubectl takes, in place of KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The program kubectl
    #[arg(
        long,
        value_name = "PROGRAM",
        env = "LOGQ_KUBECTL",
        default_value = "kubectl",
        hide = true
    )]
    pub kubectl: PathBuf,
}

/// Who is asked for lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum From {
    /// OpenSearch, or the pods where it cannot be reached
    #[default]
    Auto,
    /// OpenSearch: all that Fluentd has brought there
    Opensearch,
    /// The pods themselves: what their nodes still hold
    Kubectl,
    /// Both, each line once
    Both,
}

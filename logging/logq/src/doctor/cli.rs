//! `logq doctor` as it is typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    admin::{Age, RetentionPolicy},
    cli::Colour,
    source::kubectl::KubectlProgram,
};

/// Looks at every link from a program's line to who looks for it. Nothing is changed, and nothing is written.
///
/// Exit status: 0 all is well, 1 something is to be looked at or broken, 2 OpenSearch could not be asked.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// Pods' log files, or folders of them: their lines are compared with those that have arrived, in place of the pods
    /// of a cluster. The local stack has them in .local/stack/pods
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The address of a Fluentd's metrics, http://host:24231; may be repeated. Without it, those of the cluster that kubectl
    /// is set up for
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "LOGQ_FLUENTD")]
    pub fluentd: Vec<String>,
    /// Look again until all is well, for so long at most
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Age>,
    /// The form of what is found
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ReportFormat,
    /// Whether to colour
    #[arg(long, value_enum, default_value_t, env = "LOGQ_COLOR")]
    pub color: Colour,
    /// How `logq admin retain` is run here.
    #[command(flatten)]
    pub policy: RetentionPolicy,
    /// How pods are asked.
    #[command(flatten)]
    pub kubectl: KubectlProgram,
}

/// The form of what is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Pretty,
    /// One JSON object
    Json,
}

//! The arguments of `logq doctor`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::{
    admin::{Age, RetentionPolicy},
    kubernetes::ClusterOptions,
    render::Colour,
};

/// Check the log pipeline and say how to repair it; changes nothing
///
/// Exit status: 0 healthy, 1 warnings or failures, 2 OpenSearch unreachable.
#[derive(Args, Clone, Debug)]
pub struct DoctorOptions {
    /// Log files or folders of pods to compare with OpenSearch, instead of the cluster's pods. Local stack:
    /// .local/stack/pods
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// URL of Fluentd's metrics, http://host:24231; repeatable. Default: the Fluentds of the current cluster
    #[arg(long, value_name = "URL", value_delimiter = ',', env = "LOGQ_FLUENTD")]
    pub fluentd: Vec<String>,
    /// Repeat until healthy, at most this long
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Age>,
    /// Output format
    #[arg(short, long, value_enum, default_value_t)]
    pub output: ReportFormat,
    /// Colours
    #[arg(long, value_enum, default_value_t, env = "LOGQ_COLOR")]
    pub color: Colour,
    #[command(flatten)]
    pub policy: RetentionPolicy,
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people
    #[default]
    Pretty,
    /// One JSON object
    Json,
}

//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use contract::{PhotoId, ProjectName};
use service_runtime::settings::units::parse_duration;

/// Accept photos from timelapse cameras, have them anonymised and serve the results
#[derive(Clone, Debug, Parser)]
#[command(
    name = "irmgard",
    version,
    after_help = "Settings come from the environment: docs/configuration.md.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, \
                  3 the database's schema does not fit this program."
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: IrmgardCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum IrmgardCommand {
    /// Run the web service until SIGTERM; waits for `irmgard migrate`
    Serve,
    /// Migrate the database schema to this program's version; safe to run in parallel
    Migrate(MigrateArguments),
    /// Find objects without a photo and unfinished uploads; deletes only with --delete
    Sweep(SweepArguments),
    /// Bind the database and the buckets to each other; after a restore, use --restored
    Bind(BindArguments),
    /// List, export, requeue or delete failed photos; each use is recorded
    Failed(FailedArguments),
}

#[derive(Clone, Copy, Debug, Args)]
pub struct MigrateArguments {
    /// How long to keep trying to reach PostgreSQL, for example 5m
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse_duration_argument)]
    pub wait: Duration,
}

#[derive(Clone, Debug, Args)]
pub struct SweepArguments {
    /// Delete the findings
    #[arg(long)]
    pub delete: bool,
    /// Minimum age of a finding, for example 24h or 7d; with --delete at least 1h
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = parse_duration_argument)]
    pub older_than: Duration,
    /// Print JSON, one object per line
    #[arg(long)]
    pub json: bool,
    /// Log the findings and record the run for metrics and alerts
    #[arg(long, conflicts_with = "json")]
    pub scheduled: bool,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct BindArguments {
    /// The database was restored or recreated: give new photos ids above those in the buckets, and keep all
    /// objects without a row
    #[arg(long)]
    pub restored: bool,
}

#[derive(Clone, Debug, Args)]
pub struct FailedArguments {
    /// Name to record for this use; default: the current account
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub operator: Option<String>,
    #[command(subcommand)]
    pub command: FailedCommand,
}

#[derive(Clone, Debug, Subcommand)]
pub enum FailedCommand {
    /// List failed photos, oldest first
    List {
        #[command(flatten)]
        filter: FailedFilter,
        /// Maximum number of photos
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Print JSON, one object per line
        #[arg(long)]
        json: bool,
    },
    /// Write the original to a file that only you can read; it shows people, so delete it afterwards
    Export {
        /// Photo id
        id: PhotoId,
        /// Existing folder
        directory: PathBuf,
    },
    /// Queue failed photos again
    Requeue {
        /// Photo ids
        #[arg(required_unless_present_any = ["all", "reason", "project"],
              conflicts_with_all = ["all", "reason", "project"])]
        ids: Vec<PhotoId>,
        /// Requeue all failed photos
        #[arg(long, conflicts_with_all = ["reason", "project"])]
        all: bool,
        #[command(flatten)]
        filter: FailedFilter,
    },
    /// Delete the originals of failed photos for good; the rows stay
    Delete {
        /// Photo ids
        #[arg(required = true)]
        ids: Vec<PhotoId>,
    },
}

/// Selects failed photos.
#[derive(Clone, Debug, Default, Args)]
pub struct FailedFilter {
    /// Only photos with this reason, for example corrupt-image
    #[arg(long)]
    pub reason: Option<String>,
    /// Only photos of this project
    #[arg(long)]
    pub project: Option<ProjectName>,
}

fn parse_duration_argument(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("write a whole number with s, m, h or d, for example 24h")
}

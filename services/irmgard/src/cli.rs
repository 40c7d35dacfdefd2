//! The command line.

use std::{path::PathBuf, time::Duration};

use chassis::settings::units::parse_duration;
use clap::{Args, Parser, Subcommand};
use contract::{PhotoId, ProjectName};

/// Takes photos of timelapse cameras, has them anonymised, and serves what came of it.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "irmgard",
    version,
    after_help = "Settings come from the environment: docs/configuration.md.\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong command line or configuration, \
                  3 the database's schema does not fit this program."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run the web service, until SIGTERM. It is ready once the schema is that of `irmgard migrate`, for which it waits.
    Serve,
    /// Bring the database's schema up to this program's version. Any number may run at once.
    Migrate(MigrateArguments),
    /// Find objects that belong to no photo, and uploads that never ended. Deletes nothing unless told to.
    Sweep(SweepArguments),
    /// Bind database and buckets to each other. The first `sweep --delete` does the same; after a restore: --restored.
    Bind(BindArguments),
    /// The way to photos that could not be anonymised. Each use is recorded.
    Failed(FailedArguments),
}

/// Arguments of `irmgard migrate`.
#[derive(Clone, Copy, Debug, Args)]
pub struct MigrateArguments {
    /// Try for this long to reach PostgreSQL, for example 5m: it, the database or the role may only be coming.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub wait: Duration,
}

/// Arguments of `irmgard sweep`.
#[derive(Clone, Debug, Args)]
pub struct SweepArguments {
    /// Delete what was found.
    #[arg(long)]
    pub delete: bool,
    /// Look only at what is older, for example 24h or 7d; at least 1h with --delete.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    pub older_than: Duration,
    /// Print JSON, one object a line.
    #[arg(long)]
    pub json: bool,
    /// As a scheduled job: findings go to the log, and the run is recorded for metrics and alerts.
    #[arg(long, conflicts_with = "json")]
    pub scheduled: bool,
}

/// Arguments of `irmgard bind`.
#[derive(Clone, Copy, Debug, Args)]
pub struct BindArguments {
    /// The database was restored, or made anew: new photos get ids above all that lie in the buckets, and `sweep` keeps
    /// what lies there without a row.
    #[arg(long)]
    pub restored: bool,
}

/// Arguments of `irmgard failed`.
#[derive(Clone, Debug, Args)]
pub struct FailedArguments {
    /// Who uses it, for the record; by default the account that runs it.
    #[arg(long = "as", value_name = "NAME", global = true)]
    pub who: Option<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: FailedCommand,
}

/// What `irmgard failed` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum FailedCommand {
    /// Print the failed photos, oldest first.
    List {
        /// Which of them.
        #[command(flatten)]
        which: Which,
        /// At most this many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Write a photo's original to a file that only you can read. It shows people: delete it when you are done.
    Export {
        /// The photo.
        id: PhotoId,
        /// An existing folder.
        directory: PathBuf,
    },
    /// Queue photos again.
    Requeue {
        /// The photos.
        #[arg(required_unless_present_any = ["all", "reason", "project"],
              conflicts_with_all = ["all", "reason", "project"])]
        ids: Vec<PhotoId>,
        /// All failed photos.
        #[arg(long, conflicts_with_all = ["reason", "project"])]
        all: bool,
        /// All failed photos with this reason, of this project.
        #[command(flatten)]
        which: Which,
    },
    /// Delete photos' originals, for good. The rows stay, as failed.
    Delete {
        /// The photos.
        #[arg(required = true)]
        ids: Vec<PhotoId>,
    },
}

/// Which failed photos are meant.
#[derive(Clone, Debug, Default, Args)]
pub struct Which {
    /// Those with this reason, for example corrupt-image.
    #[arg(long)]
    pub reason: Option<String>,
    /// Those of this project.
    #[arg(long)]
    pub project: Option<ProjectName>,
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    parse_duration(text).ok_or("write a whole number with s, m, h or d, for example 24h")
}

//! The arguments of `logq admin`.

use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};

use super::{Age, Change, Options, Result, Size, bootstrap, retain};
use crate::{kubernetes::ClusterOptions, opensearch::Client};

/// Prepare and maintain OpenSearch
#[derive(Clone, Debug, Args)]
pub struct AdminArguments {
    #[command(subcommand)]
    pub command: AdminCommand,
}

/// The admin tasks.
#[derive(Clone, Debug, Subcommand)]
pub enum AdminCommand {
    /// Create or update templates, the ingest pipeline and data streams
    ///
    /// Run it at every release. It is safe to repeat and to run several times at once: it keeps current objects and
    /// those of a newer release, and deletes nothing. Put your own settings (shards, replicas, extra fields) into the
    /// component template irmgard-logs-custom. Bootstrap creates it empty and never changes it.
    Bootstrap(BootstrapArguments),
    /// Roll over large or old indices and delete expired ones
    ///
    /// Run it regularly, for example as a CronJob. It never deletes the write index of a stream.
    Retain(RetainArguments),
}

#[derive(Clone, Debug, Args)]
pub struct BootstrapArguments {
    /// Also install the security roles irmgard-fluentd, irmgard-logq and irmgard-logs-admin
    #[arg(long, env = "LOGQ_BOOTSTRAP_ROLES")]
    pub roles: bool,
    /// Wait this long for OpenSearch to start, for example 10m
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Age>,
    /// Print changes to templates, pipeline and streams without making them
    #[arg(long, conflicts_with = "roles")]
    pub dry_run: bool,
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

#[derive(Clone, Debug, Args)]
pub struct RetainArguments {
    #[command(flatten)]
    pub policy: RetentionPolicy,
    /// Print changes without making them
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

/// When to roll over and delete indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct RetentionPolicy {
    /// Roll over when the write index reaches this size
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "20gb",
        env = "LOGQ_RETAIN_ROLLOVER_SIZE"
    )]
    pub rollover_size: Size,
    /// Roll over when the write index reaches this age and is not empty
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1d",
        env = "LOGQ_RETAIN_ROLLOVER_AGE"
    )]
    pub rollover_age: Age,
    /// Delete an index when its last line is older than this
    #[arg(long, value_name = "TIME", default_value = "30d", env = "LOGQ_RETAIN_KEEP")]
    pub keep: Age,
}

impl AdminArguments {
    #[must_use]
    pub const fn cluster(&self) -> &ClusterOptions {
        match &self.command {
            AdminCommand::Bootstrap(arguments) => &arguments.cluster,
            AdminCommand::Retain(arguments) => &arguments.cluster,
        }
    }

    /// Runs the task and prints a line for each object. Finishes the task even if the reader of the output is gone.
    ///
    /// # Errors
    /// [`super::Error`]. The exit status is then 2, otherwise 0.
    pub async fn run(&self, client: &Client, out: &mut (dyn Write + Send)) -> Result<()> {
        let mut all = Vec::new();
        let mut written = Ok(());
        {
            let mut report = |change: Change| {
                if written.is_ok() {
                    written = writeln!(out, "{change}");
                }
                all.push(change);
                Ok(())
            };
            match &self.command {
                AdminCommand::Bootstrap(arguments) => {
                    if let Some(Age(timeout)) = arguments.wait {
                        wait_until_ready(client, timeout).await?;
                    }
                    let options = Options {
                        roles: arguments.roles,
                        dry_run: arguments.dry_run,
                    };
                    bootstrap(client, options, &mut report).await
                }
                AdminCommand::Retain(arguments) => {
                    retain(client, arguments.policy, arguments.dry_run, &mut report).await
                }
            }
        }?;
        let changes = all.iter().filter(|change| change.is_change()).count();
        match written.and_then(|()| writeln!(out, "{changes} of {} changed", all.len())) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Waits until OpenSearch answers and has a cluster manager. Retries transient errors until `timeout`.
///
/// # Errors
/// The last error.
async fn wait_until_ready(client: &Client, timeout: Duration) -> crate::opensearch::Result<()> {
    let start = Instant::now();
    loop {
        // Without a cluster manager, OpenSearch rejects this request after the timeout.
        let health = client
            .get("report its health", "/_cluster/health", &[("timeout", "1s")])
            .await;
        match health {
            Err(error) if error.is_transient() && start.elapsed() < timeout => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

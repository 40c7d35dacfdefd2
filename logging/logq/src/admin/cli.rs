//! `logq admin …` as it is typed.

use std::{
    io::{ErrorKind, Write},
    time::{Duration, Instant},
};

use clap::{Args, Subcommand};

use super::{Age, Change, Limits, Options, Result, Size, bootstrap, retain};
use crate::{
    opensearch::{Client, Method},
    source::kubectl::KubectlProgram,
};

/// Keeps OpenSearch in order for the log lines.
#[derive(Clone, Debug, Args)]
pub struct Admin {
    /// What is to be done.
    #[command(subcommand)]
    pub command: Command,
}

/// The tasks of an administrator.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Put templates, pipeline and data streams where they are missing or older than this release's.
    ///
    /// Can be run at any time, at every release, and by several at once: what is as it should be is left alone, what a
    /// newer release has put as well, and nothing is ever deleted. What an installation wants otherwise (shards, replicas,
    /// fields of its own) goes into the component template irmgard-logs-custom, which is made empty and never changed.
    Bootstrap(BootstrapArgs),
    /// Roll over streams whose index is big or old, and delete indices that were filled long ago.
    ///
    /// Meant to be run now and then, as a CronJob. The index that a stream writes to is never deleted.
    Retain(RetainArgs),
}

/// Arguments of `bootstrap`.
#[derive(Clone, Debug, Args)]
pub struct BootstrapArgs {
    /// Put the security plugin's roles irmgard-fluentd, irmgard-logq and irmgard-logs-admin too.
    #[arg(long, env = "LOGQ_BOOTSTRAP_ROLES")]
    pub roles: bool,
    /// Put a policy of index state management too; it takes the place of `logq admin retain`.
    #[arg(long, env = "LOGQ_BOOTSTRAP_ISM")]
    pub ism: bool,
    /// Try for this long to reach OpenSearch, for example 10m: it may only be starting.
    #[arg(long, value_name = "TIME")]
    pub wait: Option<Age>,
    /// Say what would be done to templates, pipeline and streams, and do nothing.
    #[arg(long, conflicts_with_all = ["roles", "ism"])]
    pub dry_run: bool,
    /// How an OpenSearch in a cluster is reached.
    #[command(flatten)]
    pub kubectl: KubectlProgram,
}

/// Arguments of `retain`.
#[derive(Clone, Debug, Args)]
pub struct RetainArgs {
    /// How much and how long.
    #[command(flatten)]
    pub policy: RetentionPolicy,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// How an OpenSearch in a cluster is reached.
    #[command(flatten)]
    pub kubectl: KubectlProgram,
}

/// How much is kept in an index, and how long.
#[derive(Clone, Copy, Debug, Args)]
pub struct RetentionPolicy {
    /// A new index when the written one is as big as this.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "20gb",
        env = "LOGQ_RETAIN_ROLLOVER_SIZE"
    )]
    pub rollover_size: Size,
    /// A new index when the written one is as old as this, and not empty.
    #[arg(
        long,
        value_name = "TIME",
        default_value = "1d",
        env = "LOGQ_RETAIN_ROLLOVER_AGE"
    )]
    pub rollover_age: Age,
    /// How long lines are kept at least: an index is deleted when its last line is older than this.
    #[arg(long, value_name = "TIME", default_value = "30d", env = "LOGQ_RETAIN_KEEP")]
    pub keep: Age,
}

impl Admin {
    /// How an OpenSearch in a cluster is reached.
    #[must_use]
    pub const fn kubectl(&self) -> &KubectlProgram {
        match &self.command {
            Command::Bootstrap(arguments) => &arguments.kubectl,
            Command::Retain(arguments) => &arguments.kubectl,
        }
    }

    /// Does the task and writes what was done, a line for each thing. It is done to its end also when nobody reads on.
    ///
    /// # Errors
    /// [`super::Error`]; the program's exit code is 2 then, else 0.
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
                Command::Bootstrap(arguments) => {
                    if let Some(Age(timeout)) = arguments.wait {
                        wait_until_ready(client, timeout).await?;
                    }
                    let options = Options {
                        roles: arguments.roles,
                        ism: arguments.ism,
                        dry_run: arguments.dry_run,
                    };
                    bootstrap(client, options, &mut report).await
                }
                Command::Retain(arguments) => {
                    let limits = Limits {
                        rollover_size: arguments.policy.rollover_size,
                        rollover_age: arguments.policy.rollover_age,
                        keep: arguments.policy.keep,
                        dry_run: arguments.dry_run,
                    };
                    retain(client, limits, &mut report).await
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

/// Waits until OpenSearch answers and has a cluster manager, for `timeout` at most; only for what may pass by itself.
///
/// # Errors
/// The last one.
async fn wait_until_ready(client: &Client, timeout: Duration) -> crate::opensearch::Result<()> {
    let start = Instant::now();
    loop {
        // Without a manager this is refused after the time that it is given.
        let health = client
            .ask(
                "tell its health",
                Method::Get,
                "/_cluster/health",
                &[("timeout", "1s")],
                None,
            )
            .await;
        match health {
            Err(error) if error.is_transient() && start.elapsed() < timeout => {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            answer => return answer.map(|_| ()),
        }
    }
}

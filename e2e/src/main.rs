//! `e2e`: the demonstrations, in the cluster that `kubectl` speaks to.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use e2e::{
    cases::{CASES, Case},
    cluster::{Cluster, FLUENTD, NAMESPACE},
    say::{line, say},
    settings::Settings,
};

/// Demonstrates in a cluster what Irmgard promises, and writes docs/measured/<case>.md. It deletes and makes the namespaces irmgard
/// and irmgard-fluentd of the cluster that kubectl speaks to (KUBECONFIG, current context; another kubectl: KUBECTL).
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The cases, in this order; all without
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// Also where e2e has not made the namespaces: what is in them is deleted
    #[arg(long, env = "E2E_FORCE", value_parser = clap::builder::BoolishValueParser::new())]
    force: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(format_args!("e2e: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: Arguments) -> Result<bool> {
    if arguments.list {
        for case in CASES {
            line(format_args!("{:<10} {}", case.name, case.title));
        }
        return Ok(true);
    }
    let mut settings = Settings::from_environment()?;
    let cases = chosen(&arguments.cases, &settings)?;
    settings.force = arguments.force;
    let cluster = Cluster::connect(settings.clone()).await?;
    say(format_args!(
        "cluster {}: the namespaces {NAMESPACE} and {FLUENTD} will be deleted and made anew",
        cluster.name().await?
    ));
    cluster.claim().await?;
    drop(cluster);
    let mut failed = Vec::new();
    for case in cases {
        if !case.play(&settings).await? {
            failed.push(case.name);
        }
    }
    if !failed.is_empty() {
        say(format_args!("failed: {}", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

fn chosen(names: &[String], settings: &Settings) -> Result<Vec<&'static Case>> {
    let known: Vec<_> = CASES.iter().map(|case| case.name).collect();
    let mut cases = Vec::new();
    for name in names {
        match CASES.iter().find(|case| case.name == name) {
            Some(case) => cases.push(case),
            None => bail!("there is no case {name}; there are {}", known.join(", ")),
        }
    }
    if names.is_empty() {
        // Not every cluster has nodes that can be stopped.
        cases.extend(
            CASES
                .iter()
                .filter(|case| case.name != "node" || settings.node.is_some()),
        );
    }
    ensure!(!cases.is_empty(), "there are no cases");
    Ok(cases)
}

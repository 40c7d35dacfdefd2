//! `e2e`: runs the demonstrations in the cluster of kubectl's current context.

use std::process::ExitCode;

use anyhow::{Result, bail, ensure};
use clap::Parser;
use e2e::{
    cases::{CASES, Case},
    cluster::{Cluster, FLUENTD, NAMESPACE},
    console::{print_line, print_progress},
    settings::E2eSettings,
};

/// Test Irmgard in a Kubernetes cluster and write docs/measured/<case>.md.
///
/// Deletes and recreates the namespaces irmgard and irmgard-fluentd in the cluster of kubectl's current context (KUBECONFIG). Set
/// KUBECTL to use another kubectl.
#[derive(Debug, Parser)]
#[command(version)]
struct E2eArguments {
    /// Cases to run, in this order [default: all]
    #[arg(value_name = "CASE")]
    cases: Vec<String>,
    /// List the cases
    #[arg(long)]
    list: bool,
    /// Delete the namespaces even if e2e did not create them
    #[arg(long, env = "E2E_FORCE", value_parser = clap::builder::BoolishValueParser::new())]
    force: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(E2eArguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            print_progress(format_args!("e2e: {error:#}"));
            ExitCode::from(2)
        }
    }
}

async fn run(arguments: E2eArguments) -> Result<bool> {
    if arguments.list {
        for case in CASES {
            print_line(format_args!("{:<10} {}", case.name, case.title));
        }
        return Ok(true);
    }
    let mut settings = E2eSettings::from_environment()?;
    let cases = select_cases(&arguments.cases, &settings)?;
    settings.force = arguments.force;
    let cluster = Cluster::connect(settings.clone()).await?;
    print_progress(format_args!(
        "cluster {}: the namespaces {NAMESPACE} and {FLUENTD} will be deleted and recreated",
        cluster.name().await?
    ));
    cluster.require_ownership().await?;
    drop(cluster);
    let mut failed = Vec::new();
    for case in cases {
        if !case.execute(&settings).await? {
            failed.push(case.name);
        }
    }
    if !failed.is_empty() {
        print_progress(format_args!("failed: {}", failed.join(", ")));
    }
    Ok(failed.is_empty())
}

fn select_cases(names: &[String], settings: &E2eSettings) -> Result<Vec<&'static Case>> {
    let all: Vec<_> = CASES.iter().map(|case| case.name).collect();
    let mut cases = Vec::new();
    for name in names {
        match CASES.iter().find(|case| case.name == name) {
            Some(case) => cases.push(case),
            None => bail!("unknown case {name}; the cases are {}", all.join(", ")),
        }
    }
    if names.is_empty() {
        // The case `node` needs a cluster whose nodes can be stopped.
        cases.extend(
            CASES
                .iter()
                .filter(|case| case.name != "node" || settings.node.is_some()),
        );
    }
    ensure!(!cases.is_empty(), "no case to run");
    Ok(cases)
}

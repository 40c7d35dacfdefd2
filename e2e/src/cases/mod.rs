//! The demonstrations, one a file.

mod check;
mod database;
mod growth;
mod healing;
mod held;
mod ledger;
mod node;
mod patroni;
mod pipeline;
mod queue;
mod rabbitmq;
mod release;
mod scaling;
mod witness;
mod works;

use std::{future::Future, pin::Pin};

use anyhow::{Result, anyhow};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

pub use self::check::{Verdict, check};
use crate::{
    cluster::{Cluster, Places, Seen, until},
    load::{Summary, seconds},
    report::Report,
    say::say,
    settings::Settings,
};

/// A case while it runs.
#[derive(Debug)]
pub struct Stage {
    /// The cluster.
    pub cluster: Cluster,
    /// What will be written.
    pub report: Report,
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A demonstration.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// The report's title.
    pub title: &'static str,
    /// Runs it. An error means that it could not go on; what must hold is noted in the report.
    pub run: for<'a> fn(&'a mut Stage) -> Running<'a>,
}

/// All of them, in the order in which they are run.
pub const CASES: &[Case] = &[
    Case {
        name: "works",
        title: "It works: from an empty cluster to a blurred photo",
        run: |stage| Box::pin(works::run(stage)),
    },
    Case {
        name: "scaling",
        title: "Scaling: more pods and fewer, under load",
        run: |stage| Box::pin(scaling::run(stage)),
    },
    Case {
        name: "healing",
        title: "Self-healing: pods go, under load",
        run: |stage| Box::pin(healing::run(stage)),
    },
    Case {
        name: "database",
        title: "The database is away, with one pod and with three",
        run: |stage| Box::pin(database::run(stage)),
    },
    Case {
        name: "queue",
        title: "The queue on one node and on three: speed, and the loss of nodes",
        run: |stage| Box::pin(queue::run(stage)),
    },
    Case {
        name: "node",
        title: "A node is lost",
        run: |stage| Box::pin(node::run(stage)),
    },
    Case {
        name: "growth",
        title: "PostgreSQL, RabbitMQ and OpenSearch grow from one pod to three, in place",
        run: |stage| Box::pin(growth::run(stage)),
    },
    Case {
        name: "pipeline",
        title: "The pipeline's outage tests with the cluster's servers",
        run: |stage| Box::pin(pipeline::run(stage)),
    },
    Case {
        name: "release",
        title: "Releases: a migration under load, and the way back",
        run: |stage| Box::pin(release::run(stage)),
    },
];

impl Case {
    /// Runs it and writes its report; whether it came to its end and all that must hold did.
    ///
    /// # Errors
    /// When the cluster cannot be reached or may not be changed, or the report cannot be written.
    pub async fn play(&self, settings: &Settings) -> Result<bool> {
        say(format_args!("== {}: {}", self.name, self.title));
        let cluster = Cluster::connect(settings.clone()).await?;
        cluster.claim().await?;
        let report = Report::new(self.title, &settings.command(self.name));
        let mut stage = Stage { cluster, report };
        let ended = tokio::select! {
            ended = (self.run)(&mut stage) => ended,
            // What was measured until then is written.
            () = interrupted() => Err(anyhow!("it was interrupted")),
        };
        if let Err(error) = ended {
            say(format_args!("FAIL {} broke off: {error:#}", self.name));
            // Where the project lies on this machine says nothing to others.
            let home = format!("{}/", stage.cluster.project().display());
            stage.report.broke_off(format!("{error:#}").replace(&home, ""));
        }
        let described = stage.describe().await;
        let folder = stage.cluster.project().join("docs/measured");
        stage.report.write(&folder, self.name)?;
        described?;
        let (unmet, all) = stage.report.unmet();
        say(format_args!(
            "== {}: {} ({} of {all} demands met)",
            self.name,
            if stage.report.passed() { "passed" } else { "FAILED" },
            all - unmet,
        ));
        Ok(stage.report.passed())
    }
}

/// Until Ctrl-C or SIGTERM.
async fn interrupted() {
    let Ok(mut terminated) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = ctrl_c() => {}
        _ = terminated.recv() => {}
    }
}

impl Stage {
    /// Says what is done now.
    pub fn step(&self, what: impl std::fmt::Display) {
        say(what);
    }

    /// Demands that a part came to its end: that one breaks off is no reason not to look at the others.
    fn part(&mut self, name: &str, ended: Result<()>) {
        if let Err(error) = ended {
            self.report.demand(
                format_args!("{name}: it comes to its end"),
                false,
                format_args!("{error:#}"),
            );
        }
    }

    /// Stops the workers until so many photos wait for them: how many.
    async fn backlog(&self, places: &Places, least: u32) -> Result<u32> {
        let patience = self.cluster.settings().patience;
        self.step(format_args!("no worker until {least} photos wait"));
        self.cluster.scale("deployment/anonymizer", 0).await?;
        until("no worker is there, and photos wait", patience, async || {
            let workers = self.cluster.pods("anonymizer").await?;
            let waiting = places.queues().await?.get("images").copied().unwrap_or_default();
            Ok(if workers.is_empty() && waiting >= least {
                Seen::Yes(waiting)
            } else {
                Seen::NotYet(format!("{} workers, {waiting} wait", workers.len()))
            })
        })
        .await
    }

    /// Where it ran, into the report.
    async fn describe(&mut self) -> Result<()> {
        let nodes = self.cluster.nodes().await?;
        self.report.machine("nodes", nodes.len());
        if let Some(node) = nodes.first() {
            let (capacity, info) = (&node["status"]["capacity"], &node["status"]["nodeInfo"]);
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
            self.report.machine("cores of a node", text(&capacity["cpu"]));
            self.report
                .machine("memory of a node", gibibytes(&text(&capacity["memory"])));
            self.report.machine("kernel", text(&info["kernelVersion"]));
            self.report.machine("Kubernetes", text(&info["kubeletVersion"]));
            self.report
                .machine("containers", text(&info["containerRuntimeVersion"]));
        }
        let mut images: Vec<_> = self
            .cluster
            .all_pods()
            .await?
            .into_iter()
            .flat_map(|pod| pod.images)
            .collect();
        images.sort_unstable();
        images.dedup();
        self.report.machine("images", images.join(", "));
        self.report.machine("log lines", self.cluster.lines().name());
        Ok(())
    }
}

/// The columns of [`row`].
const REQUESTS: [&str; 8] = [
    "requests", "number", "failed", "late", "p50", "p95", "p99", "longest",
];

/// A row of a table of requests.
fn row(name: &str, summary: &Summary) -> Vec<String> {
    let mut row = vec![
        name.to_owned(),
        summary.requests.to_string(),
        summary.failures_by_kind(),
        summary.late.to_string(),
    ];
    row.extend([50.0, 95.0, 99.0, 100.0].map(|percent| seconds(summary.percentile(percent))));
    row
}

/// Kubernetes gives memory in Ki.
fn gibibytes(quantity: &str) -> String {
    match quantity
        .strip_suffix("Ki")
        .and_then(|text| text.parse::<f64>().ok())
    {
        Some(kibibytes) => format!("{:.1} GiB", kibibytes / 1024.0 / 1024.0),
        None => quantity.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_told_in_gibibytes() {
        assert_eq!(gibibytes("24576000Ki"), "23.4 GiB");
        assert_eq!(gibibytes("24G"), "24G");
    }

    #[test]
    fn every_case_has_a_name_of_its_own() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}

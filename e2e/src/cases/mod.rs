//! The demonstrations, one file or folder each.

mod availability;
mod database;
mod growth;
mod healing;
mod node;
mod patroni;
mod photo_check;
mod pipeline;
mod queue;
mod rabbitmq;
mod release;
mod scaling;
mod upload_probe;
mod works;

use std::{future::Future, pin::Pin, time::Duration};

use anyhow::{Result, anyhow};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

pub use self::photo_check::{PhotoCheck, check_photos};
use crate::{
    cluster::{Cluster, Condition, Endpoints, wait_until},
    console::print_progress,
    load::{Load, LoadRecord, LoadSummary, Rates, RequestKind, seconds},
    report::{Report, ReportRow},
    settings::E2eSettings,
};

/// The cluster under test, and the report of the running case.
#[derive(Debug)]
pub struct Harness {
    pub cluster: Cluster,
    pub report: Report,
}

type RunningCase<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;

/// A demonstration.
pub struct Case {
    pub name: &'static str,
    /// The report's title.
    pub title: &'static str,
    /// The report's template.
    pub template: &'static str,
    /// An error means that the case could not continue. Unmet requirements are in the report instead.
    pub run: for<'a> fn(&'a mut Harness) -> RunningCase<'a>,
}

/// All cases, in the order of their execution.
pub const CASES: &[Case] = &[
    Case {
        name: "works",
        title: "It works: from an empty cluster to a blurred photo",
        template: include_str!("../../reports/works.md"),
        run: |harness| Box::pin(works::run(harness)),
    },
    Case {
        name: "scaling",
        title: "Scaling: more and fewer pods under load",
        template: include_str!("../../reports/scaling.md"),
        run: |harness| Box::pin(scaling::run(harness)),
    },
    Case {
        name: "healing",
        title: "Self-healing: pods are deleted under load",
        template: include_str!("../../reports/healing.md"),
        run: |harness| Box::pin(healing::run(harness)),
    },
    Case {
        name: "database",
        title: "The database fails, with one pod and with three",
        template: include_str!("../../reports/database.md"),
        run: |harness| Box::pin(database::run(harness)),
    },
    Case {
        name: "queue",
        title: "The queue on one node and on three: throughput, and the loss of nodes",
        template: include_str!("../../reports/queue.md"),
        run: |harness| Box::pin(queue::run(harness)),
    },
    Case {
        name: "node",
        title: "A node is lost",
        template: include_str!("../../reports/node.md"),
        run: |harness| Box::pin(node::run(harness)),
    },
    Case {
        name: "growth",
        title: "PostgreSQL, RabbitMQ and OpenSearch grow from one pod to three in place",
        template: include_str!("../../reports/growth.md"),
        run: |harness| Box::pin(growth::run(harness)),
    },
    Case {
        name: "pipeline",
        title: "The pipeline's outage tests with the cluster's servers",
        template: include_str!("../../reports/pipeline.md"),
        run: |harness| Box::pin(pipeline::run(harness)),
    },
    Case {
        name: "release",
        title: "Releases: a migration under load, and rollbacks",
        template: include_str!("../../reports/release.md"),
        run: |harness| Box::pin(release::run(harness)),
    },
];

impl Case {
    /// Runs the case and writes its report. Returns whether it passed.
    pub async fn execute(&self, settings: &E2eSettings) -> Result<bool> {
        print_progress(format_args!("== {}: {}", self.name, self.title));
        let cluster = Cluster::connect(settings.clone()).await?;
        cluster.require_ownership().await?;
        let report = Report::new(self.title, &settings.command(self.name));
        let mut harness = Harness { cluster, report };
        let result = tokio::select! {
            result = (self.run)(&mut harness) => result,
            // The report then has the measurements so far.
            () = wait_for_interrupt() => Err(anyhow!("interrupted")),
        };
        if let Err(error) = result {
            print_progress(format_args!("FAIL {} aborted: {error:#}", self.name));
            // The report must not contain paths of this machine.
            let project = format!("{}/", harness.cluster.project().display());
            harness.report.abort(format!("{error:#}").replace(&project, ""));
        }
        let described = harness.add_environment().await;
        let folder = harness.cluster.project().join("docs/measured");
        harness.report.write(&folder, self.name, self.template)?;
        described?;
        let (unmet, all) = harness.report.unmet();
        print_progress(format_args!(
            "== {}: {} ({} of {all} requirements met)",
            self.name,
            if harness.report.passed() {
                "passed"
            } else {
                "FAILED"
            },
            all - unmet,
        ));
        Ok(harness.report.passed())
    }
}

/// Waits for Ctrl-C or SIGTERM.
async fn wait_for_interrupt() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

impl Harness {
    /// Prints the current step.
    pub fn step(&self, what: impl std::fmt::Display) {
        print_progress(what);
    }

    /// How long a workload may take to become ready.
    fn time_limit(&self) -> Duration {
        self.cluster.settings().time_limit
    }

    /// Starts a load with the settings' rate of new photos, in a new project with this name.
    async fn start_load(&self, endpoints: &Endpoints, name: &str) -> Result<Load> {
        let rates = Rates::with_probes(self.cluster.settings().photos_per_second);
        Load::start(&endpoints.web, name, rates, self.time_limit()).await
    }

    /// Records an error of a part as an unmet requirement, so that the other parts still run.
    fn require_completion(&mut self, name: &str, result: Result<()>) {
        if let Err(error) = result {
            self.report.require(
                format_args!("{name}: completes"),
                false,
                format_args!("{error:#}"),
            );
        }
    }

    /// Stops the workers until at least `min` jobs wait. Returns the number of jobs.
    async fn build_backlog(&self, endpoints: &Endpoints, min: u32) -> Result<u32> {
        let time_limit = self.cluster.settings().time_limit;
        self.step(format_args!("stopping the workers until {min} jobs wait"));
        self.cluster.scale("deployment/anonymizer", 0).await?;
        wait_until("no worker runs, and jobs wait", time_limit, async || {
            let workers = self.cluster.pods("anonymizer").await?;
            let waiting = endpoints
                .queue_lengths()
                .await?
                .get("images")
                .copied()
                .unwrap_or_default();
            Ok(if workers.is_empty() && waiting >= min {
                Condition::Met(waiting)
            } else {
                Condition::Unmet(format!("{} workers, {waiting} jobs wait", workers.len()))
            })
        })
        .await
    }

    /// Adds facts about the cluster to the report.
    async fn add_environment(&mut self) -> Result<()> {
        let nodes = self.cluster.nodes().await?;
        self.report.environment("nodes", nodes.len());
        if let Some(node) = nodes.first() {
            let (capacity, info) = (&node["status"]["capacity"], &node["status"]["nodeInfo"]);
            let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
            self.report.environment("cores per node", text(&capacity["cpu"]));
            self.report
                .environment("memory per node", gibibytes(&text(&capacity["memory"])));
            self.report.environment("kernel", text(&info["kernelVersion"]));
            self.report
                .environment("Kubernetes", text(&info["kubeletVersion"]));
            self.report
                .environment("container runtime", text(&info["containerRuntimeVersion"]));
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
        self.report.environment("images", images.join(", "));
        self.report
            .environment("log lines", self.cluster.log_source().name());
        Ok(())
    }
}

/// A table row about requests.
fn request_row(name: &str, summary: &LoadSummary) -> ReportRow {
    let percentile = |percent| seconds(summary.percentile(percent));
    vec![
        ("requests", name.to_owned()),
        ("number", summary.requests.to_string()),
        ("failed", summary.failures_by_kind()),
        ("late", summary.late.to_string()),
        ("p50", percentile(50.0)),
        ("p95", percentile(95.0)),
        ("p99", percentile(99.0)),
        ("max", percentile(100.0)),
    ]
}

/// Adds the table `requests`. Returns the number of failures, and the failures of each kind.
fn report_requests(report: &mut Report, record: &LoadRecord) -> (usize, String) {
    let summaries = RequestKind::ALL.map(|kind| LoadSummary::new(kind, &record.attempts));
    for (kind, summary) in RequestKind::ALL.iter().zip(&summaries) {
        report.row("requests", request_row(kind.name(), summary));
    }
    let kinds: Vec<_> = summaries.iter().map(LoadSummary::failures_by_kind).collect();
    (
        summaries.iter().map(LoadSummary::failures).sum(),
        kinds.join("; "),
    )
}

/// Converts Kubernetes' memory quantity from Ki to GiB.
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
    fn memory_is_converted_to_gibibytes() {
        assert_eq!(gibibytes("24576000Ki"), "23.4 GiB");
        assert_eq!(gibibytes("24G"), "24G");
    }

    #[test]
    fn case_names_are_unique() {
        let mut names: Vec<_> = CASES.iter().map(|case| case.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CASES.len());
    }
}

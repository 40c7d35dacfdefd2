//! What is done in a step, and when.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::{
    cases::{Stage, patroni},
    cluster::{Deployment, NAMESPACE, Places, Seen, until},
    load::Load,
    say::say,
};

/// How long the load goes on after a step, for what comes late.
const CALM: Duration = Duration::from_secs(5);
const JOB: &str = "irmgard-migrate";

/// The steps that were taken, and what is needed for the next.
pub struct Play<'a> {
    pub stage: &'a mut Stage,
    places: &'a Places,
    load: &'a Load,
    steps: Vec<Step>,
}

/// A step; times are since the load began.
pub struct Step {
    pub name: String,
    pub from: Duration,
    /// Until what it does was done; none where nothing is.
    pub took: Option<Duration>,
    pub to: Duration,
}

impl<'a> Play<'a> {
    pub const fn new(stage: &'a mut Stage, places: &'a Places, load: &'a Load) -> Self {
        Self {
            stage,
            places,
            load,
            steps: Vec::new(),
        }
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    pub fn begin(&self, name: &str) -> (String, Duration) {
        say(format_args!("-- {name}"));
        (name.to_owned(), self.load.now())
    }

    pub async fn end(&mut self, (name, from): (String, Duration)) {
        let took = Some(self.load.now() - from);
        sleep(CALM).await;
        let to = self.load.now();
        self.steps.push(Step { name, from, took, to });
    }

    /// Nothing happens for a while.
    pub async fn calm(&mut self, name: &str) {
        let (name, from) = self.begin(name);
        sleep(2 * CALM).await;
        let to = self.load.now();
        self.steps.push(Step {
            name,
            from,
            took: None,
            to,
        });
    }

    async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--namespace", NAMESPACE];
        all.extend(arguments);
        self.stage.cluster.kubectl().run(&all).await
    }

    pub async fn apply(&self, deployment: &Deployment, component: &str) -> Result<()> {
        self.stage.cluster.apply_only(deployment, component).await
    }

    /// A Job cannot be changed.
    pub async fn forget_job(&self) -> Result<()> {
        let arguments = ["delete", "job", JOB, "--ignore-not-found"];
        self.kubectl(&arguments).await.map(drop)
    }

    /// Runs the migration of a release to its end.
    pub async fn migrate(&self, deployment: &Deployment) -> Result<()> {
        self.forget_job().await?;
        self.apply(deployment, "migrate").await?;
        let job = format!("job/{JOB}");
        let arguments = ["wait", &job, "--for=condition=Complete", "--timeout=100s"];
        self.kubectl(&arguments).await.map(drop)
    }

    /// The release before.
    pub async fn undo(&self, deployment: &str) -> Result<()> {
        let name = format!("deployment/{deployment}");
        self.kubectl(&["rollout", "undo", &name]).await.map(drop)
    }

    pub async fn set_image(&self, deployment: &str, image: &str) -> Result<()> {
        let (name, image) = (
            format!("deployment/{deployment}"),
            format!("{deployment}={image}"),
        );
        self.kubectl(&["set", "image", &name, &image]).await.map(drop)
    }

    pub async fn set_variable(&self, deployment: &str, variable: &str) -> Result<()> {
        let name = format!("deployment/{deployment}");
        self.kubectl(&["set", "env", &name, variable]).await.map(drop)
    }

    /// Waits until a Deployment's pods are all of this image, serve, and no other is left.
    pub async fn rolled(&self, deployment: &str, component: &str, image: &str) -> Result<()> {
        let patience = self.stage.cluster.settings().patience;
        let cluster = &self.stage.cluster;
        cluster.ready("deployment", deployment, patience).await?;
        until(&format!("{deployment} is {image}"), patience, async || {
            let mut pods = cluster.pods(deployment).await?;
            pods.retain(|pod| pod.component == component);
            let others = pods
                .iter()
                .filter(|pod| !pod.ready || pod.ending || !pod.images.iter().any(|one| one == image))
                .count();
            Ok(if others == 0 {
                Seen::Yes(())
            } else {
                Seen::NotYet(format!("{others} of {} pods are not", pods.len()))
            })
        })
        .await
    }

    /// Demands that a release stops by itself, and that so many pods serve that are there from before.
    pub async fn stops(
        &mut self,
        deployment: &str,
        component: &str,
        image: &str,
        serve: usize,
        what: &str,
    ) -> Result<()> {
        let name = format!("deployment/{deployment}");
        let said = match self
            .kubectl(&["rollout", "status", &name, "--timeout=110s"])
            .await
        {
            Ok(said) => said,
            Err(error) => format!("{error:#}"),
        };
        let mut pods = self.stage.cluster.pods(deployment).await?;
        pods.retain(|pod| {
            let present = pod.images.iter().any(|one| one == image);
            pod.component == component && pod.ready && !pod.ending && present
        });
        let last = said.lines().last().unwrap_or_default();
        self.stage.report.demand(
            format_args!("{what}: the release stops by itself, {serve} of the pods before it serve on"),
            said.contains("exceeded its progress deadline") && pods.len() == serve,
            format_args!("{} serve; {last}", pods.len()),
        );
        Ok(())
    }

    /// Demands that so many migrations are applied.
    pub async fn demand_schema(&mut self, what: &str, version: i64) -> Result<()> {
        let found: i64 = sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
            .fetch_one(&self.places.database)
            .await?;
        let constraint: bool = sqlx::query_scalar(
            "select exists (select from pg_constraint where conname = 'photo_received_by')",
        )
        .fetch_one(&self.places.database)
        .await?;
        self.stage.report.demand(
            what,
            found == version && !constraint,
            format_args!("the schema has version {found}"),
        );
        Ok(())
    }

    /// Gives rows from before a value, in the primary.
    pub async fn backfill(&self) -> Result<()> {
        let cluster = &self.stage.cluster;
        let path = cluster.project().join("e2e/release/backfill.sql");
        let sql = tokio::fs::read_to_string(&path)
            .await
            .with_context(|| path.display().to_string())?;
        let primary = patroni::primary(cluster).await?;
        patroni::script(cluster, &primary.name, "irmgard", &sql).await?;
        let left: i64 = sqlx::query_scalar("select count(*) from photo where received_by is null")
            .fetch_one(&self.places.database)
            .await?;
        ensure!(left == 0, "after the backfill {left} photos have no received_by");
        Ok(())
    }

    /// How containers of a Deployment with this image ended.
    pub async fn exit_codes(&self, deployment: &str, image: &str) -> Result<Vec<i64>> {
        let path = format!(
            "/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Fname%3D{deployment}"
        );
        let pods = self.stage.cluster.api().list(&path).await?;
        let codes = pods
            .iter()
            .filter(|pod| {
                pod["spec"]["containers"][0]["image"] == image
                    && pod["metadata"]["labels"]["pod-template-hash"].is_string()
            })
            .filter_map(|pod| {
                let status = &pod["status"]["containerStatuses"][0];
                ["state", "lastState"]
                    .iter()
                    .find_map(|state| status[state]["terminated"]["exitCode"].as_i64())
            });
        Ok(codes.collect())
    }
}

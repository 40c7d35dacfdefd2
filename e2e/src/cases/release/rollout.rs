//! The steps of a rollout: apply, roll back, and check.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::sleep;

use crate::{
    cases::{Harness, patroni},
    cluster::{Condition, Deployment, Endpoints, NAMESPACE, wait_until},
    console::print_progress,
    load::Load,
};

/// How long the load runs after each step, for late effects.
const STEADY_LOAD: Duration = Duration::from_secs(5);
const JOB: &str = "irmgard-migrate";

/// Executes and records the steps of the case.
pub struct Rollout<'a> {
    pub harness: &'a mut Harness,
    endpoints: &'a Endpoints,
    load: &'a Load,
    steps: Vec<Step>,
}

/// A step. Times are since the start of the load.
pub struct Step {
    pub name: String,
    pub from: Duration,
    /// Until the action was complete; `None` for a step without action.
    pub duration: Option<Duration>,
    pub to: Duration,
}

impl<'a> Rollout<'a> {
    pub const fn new(harness: &'a mut Harness, endpoints: &'a Endpoints, load: &'a Load) -> Self {
        Self {
            harness,
            endpoints,
            load,
            steps: Vec::new(),
        }
    }

    pub fn into_steps(self) -> Vec<Step> {
        self.steps
    }

    pub fn start_step(&self, name: &str) -> (String, Duration) {
        print_progress(format_args!("-- {name}"));
        (name.to_owned(), self.load.now())
    }

    pub async fn end_step(&mut self, (name, from): (String, Duration)) {
        let duration = Some(self.load.now() - from);
        sleep(STEADY_LOAD).await;
        let to = self.load.now();
        self.steps.push(Step {
            name,
            from,
            duration,
            to,
        });
    }

    /// Records a period without changes.
    pub async fn steady_load(&mut self, name: &str) {
        let (name, from) = self.start_step(name);
        sleep(2 * STEADY_LOAD).await;
        let to = self.load.now();
        self.steps.push(Step {
            name,
            from,
            duration: None,
            to,
        });
    }

    async fn kubectl(&self, command: &str) -> Result<String> {
        let command = format!("--namespace {NAMESPACE} {command}");
        self.harness.cluster.kubectl().run(&command).await
    }

    pub async fn apply(&self, deployment: &Deployment, component: &str) -> Result<()> {
        self.harness.cluster.apply_only(deployment, component).await
    }

    /// Deletes the migration Job, because a Job cannot be changed.
    pub async fn delete_job(&self) -> Result<()> {
        let command = format!("delete job {JOB} --ignore-not-found");
        self.kubectl(&command).await.map(drop)
    }

    /// Runs the migration of a release and waits for its completion.
    pub async fn migrate(&self, deployment: &Deployment) -> Result<()> {
        self.delete_job().await?;
        self.apply(deployment, "migrate").await?;
        let command = format!("wait job/{JOB} --for=condition=Complete --timeout=100s");
        self.kubectl(&command).await.map(drop)
    }

    /// Rolls back to the previous release, and waits until all pods have its image.
    pub async fn undo(&self, deployment: &str, component: &str, image: &str) -> Result<()> {
        self.kubectl(&format!("rollout undo deployment/{deployment}"))
            .await?;
        self.wait_for_rollout(deployment, component, image).await
    }

    pub async fn set_image(&self, deployment: &str, image: &str) -> Result<()> {
        let command = format!("set image deployment/{deployment} {deployment}={image}");
        self.kubectl(&command).await.map(drop)
    }

    pub async fn set_variable(&self, deployment: &str, variable: &str) -> Result<()> {
        let command = format!("set env deployment/{deployment} {variable}");
        self.kubectl(&command).await.map(drop)
    }

    /// Waits until all pods of a Deployment have this image and are ready.
    pub async fn wait_for_rollout(&self, deployment: &str, component: &str, image: &str) -> Result<()> {
        let time_limit = self.harness.time_limit();
        let cluster = &self.harness.cluster;
        cluster
            .wait_until_ready("deployment", deployment, time_limit)
            .await?;
        wait_until(&format!("{deployment} runs {image}"), time_limit, async || {
            let mut pods = cluster.pods(deployment).await?;
            pods.retain(|pod| pod.component == component);
            let others = pods
                .iter()
                .filter(|pod| !pod.ready || pod.terminating || !pod.images.iter().any(|name| name == image))
                .count();
            Ok(if others == 0 {
                Condition::Met(())
            } else {
                Condition::Unmet(format!("{others} of {} pods do not", pods.len()))
            })
        })
        .await
    }

    /// Requires that a bad release stalls, and that `ready` pods of the previous one stay ready.
    pub async fn require_stalled(
        &mut self,
        deployment: &str,
        component: &str,
        image: &str,
        ready: usize,
        what: &str,
    ) -> Result<()> {
        let command = format!("rollout status deployment/{deployment} --timeout=110s");
        let status = match self.kubectl(&command).await {
            Ok(status) => status,
            Err(error) => format!("{error:#}"),
        };
        let mut pods = self.harness.cluster.pods(deployment).await?;
        pods.retain(|pod| {
            let has_image = pod.images.iter().any(|name| name == image);
            pod.component == component && pod.ready && !pod.terminating && has_image
        });
        let last_line = status.lines().last().unwrap_or_default();
        self.harness.report.require(
            format_args!("{what}: the release stalls, and {ready} pods of the previous one stay ready"),
            status.contains("exceeded its progress deadline") && pods.len() == ready,
            format_args!("{} ready; {last_line}", pods.len()),
        );
        Ok(())
    }

    async fn schema_version(&self) -> Result<i64> {
        let version = sqlx::query_scalar("select max(version) from _sqlx_migrations where success");
        Ok(version.fetch_one(&self.endpoints.database).await?)
    }

    /// Requires this version of the schema, without a pending constraint.
    pub async fn require_schema(&mut self, what: &str, version: i64) -> Result<()> {
        let found = self.schema_version().await?;
        let constraint: bool = sqlx::query_scalar(
            "select exists (select from pg_constraint where conname = 'photo_received_by')",
        )
        .fetch_one(&self.endpoints.database)
        .await?;
        self.harness.report.require(
            what,
            found == version && !constraint,
            format_args!("the schema has version {found}"),
        );
        Ok(())
    }

    /// Fills the column of old rows, on the primary.
    pub async fn backfill(&self) -> Result<()> {
        let cluster = &self.harness.cluster;
        let path = cluster.project().join("e2e/release/backfill.sql");
        let sql = tokio::fs::read_to_string(&path)
            .await
            .with_context(|| path.display().to_string())?;
        let primary = patroni::primary(cluster).await?;
        patroni::run_script(cluster, &primary.name, "irmgard", &sql).await?;
        let unfilled: i64 = sqlx::query_scalar("select count(*) from photo where received_by is null")
            .fetch_one(&self.endpoints.database)
            .await?;
        ensure!(
            unfilled == 0,
            "after the backfill {unfilled} photos have no received_by"
        );
        Ok(())
    }

    /// The exit codes of a Deployment's containers with this image.
    pub async fn exit_codes(&self, deployment: &str, image: &str) -> Result<Vec<i64>> {
        let path = format!(
            "/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app.kubernetes.io%2Fname%3D{deployment}"
        );
        let pods = self.harness.cluster.api().list(&path).await?;
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

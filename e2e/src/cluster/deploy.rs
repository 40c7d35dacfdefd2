//! Deploys to the cluster, and measures how long the workloads take to become ready.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    fs::File,
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use super::{Cluster, Deployment, FLUENTD, NAMESPACE, Workload};
use crate::{console::print_progress, load::seconds};

const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Kinds of workloads, and their API groups.
const KINDS: [(&str, &str); 4] = [
    ("deployment", "apps/v1"),
    ("statefulset", "apps/v1"),
    ("daemonset", "apps/v1"),
    ("job", "batch/v1"),
];

/// The time from `kubectl apply` until each workload was ready. Empty if the same deployment was already running.
#[derive(Clone, Debug, Default)]
pub struct DeploymentTimes {
    /// By kind and name.
    pub workloads: BTreeMap<String, Duration>,
    /// Until all workloads were ready and all Jobs complete.
    pub all: Duration,
}

impl Cluster {
    /// Deploys, and waits until everything is ready. Deletes another deployment first.
    ///
    /// # Errors
    /// When a workload is not ready after the time limit; with the end of `manifests/deploy`'s output.
    pub async fn deploy(&self, deployment: &Deployment) -> Result<DeploymentTimes> {
        self.require_ownership().await?;
        let (_, digest) = self.secrets().await?;
        let folder = self.write_kustomization(deployment).await?;
        let was_deployed = self.is_deployed(deployment.name(), &digest).await?;
        if !was_deployed {
            print_progress("deleting the previous deployment");
            self.delete_namespaces().await?;
        }
        print_progress(format_args!("applying {}", deployment.name()));
        let log = folder.join("deploy.log");
        let output = File::create(&log)?;
        let start = Instant::now();
        let mut run = Command::new(self.project.join("manifests/deploy"))
            .arg(&folder)
            .env("DEPLOY_TIMEOUT", self.settings.time_limit.as_secs().to_string())
            // The case `growth` scales back to one pod.
            .env("DEPLOY_SHRINK", "1")
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start manifests/deploy")?;
        let mut readiness = DeploymentTimes::default();
        let status = loop {
            if let Some(status) = run.try_wait()? {
                break status;
            }
            // An error is ignored: the API may be slow while everything starts.
            if !was_deployed && let Ok(workloads) = self.workloads().await {
                readiness.record(&workloads, start.elapsed());
            }
            sleep(POLL_INTERVAL).await;
        };
        readiness.all = start.elapsed();
        let output = tokio::fs::read_to_string(&log).await.unwrap_or_default();
        let tail: Vec<_> = output.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        ensure!(
            status.success(),
            "manifests/deploy {}: {}",
            folder.display(),
            tail.join("\n")
        );
        if !was_deployed {
            readiness.record(&self.workloads().await?, start.elapsed());
        }
        print_progress(format_args!("all ready after {}", seconds(readiness.all)));
        Ok(readiness)
    }

    /// Applies only the objects of a deployment with this label `app.kubernetes.io/component`, and the configuration. Does not
    /// wait.
    pub async fn apply_only(&self, deployment: &Deployment, component: &str) -> Result<()> {
        let folder = self.write_kustomization(deployment).await?.display().to_string();
        let label = format!("app.kubernetes.io/component in ({component},configuration)");
        let arguments = ["apply", "--kustomize", &folder, "--selector", &label];
        self.kubectl.run_with_input(&arguments, None).await.map(drop)
    }

    async fn write_kustomization(&self, deployment: &Deployment) -> Result<PathBuf> {
        let (_, digest) = self.secrets().await?;
        let deployment = self.without_missing_images(deployment);
        deployment.write(&self.project, &self.replacement_images().await?, &digest)
    }

    /// All workloads of the installation.
    pub async fn workloads(&self) -> Result<Vec<Workload>> {
        let mut workloads = Vec::new();
        for namespace in [NAMESPACE, FLUENTD] {
            for (kind, group) in KINDS {
                let path = format!("/apis/{group}/namespaces/{namespace}/{kind}s");
                let items = self.api.list(&path).await?;
                workloads.extend(items.iter().map(|item| Workload::from(kind, item)));
            }
        }
        Ok(workloads)
    }

    /// Leaves Fluentd and Dashboards out if the settings do not name their images.
    fn without_missing_images(&self, deployment: &Deployment) -> Deployment {
        let mut deployment = deployment.clone();
        for (image, component) in [
            ("fluentd", "without-fluentd"),
            ("dashboards", "without-dashboards"),
        ] {
            if !self.settings.images.contains_key(image) {
                deployment = deployment.with(component);
            }
        }
        deployment
    }

    /// Replacement images: the full name in the manifests, and the replacement.
    async fn replacement_images(&self) -> Result<Vec<(String, String)>> {
        let mut images = Vec::new();
        for (image, replacement) in &self.settings.images {
            images.push((self.image(image).await?, replacement.clone()));
        }
        Ok(images)
    }

    /// The full name of an image in the manifests: `irmgard/irmgard:0.1.0` for `irmgard`.
    pub async fn image(&self, name: &str) -> Result<String> {
        let output = Command::new(self.project.join("manifests/build-images"))
            .args(["--name", name])
            .output()
            .await?;
        let full_name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            !full_name.is_empty(),
            "manifests/images/kustomization.yaml does not name {name}"
        );
        Ok(full_name)
    }
}

impl DeploymentTimes {
    /// Records workloads that are ready for the first time. Leaves out workloads without pods.
    fn record(&mut self, workloads: &[Workload], after: Duration) {
        for workload in workloads
            .iter()
            .filter(|workload| workload.desired > 0 && workload.is_ready())
        {
            let name = format!("{}/{}", workload.kind, workload.name);
            if let Entry::Vacant(entry) = self.workloads.entry(name) {
                print_progress(format_args!("{} after {}", entry.key(), seconds(after)));
                entry.insert(after);
            }
        }
    }

    /// The workloads in the order of readiness, each with its time.
    pub fn in_order(&self) -> Vec<(String, Duration)> {
        let mut sorted: Vec<_> = self.workloads.clone().into_iter().collect();
        sorted.sort_by_key(|(_, after)| *after);
        sorted.push(("all workloads ready, all Jobs complete".to_owned(), self.all));
        sorted
    }
}

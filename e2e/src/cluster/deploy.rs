//! Bringing a deployment into the cluster, and how long that takes.

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
use crate::{load::seconds, say::say};

const LOOK: Duration = Duration::from_millis(200);

/// Kinds of workloads, and where the API has them.
const KINDS: [(&str, &str); 4] = [
    ("deployment", "apps/v1"),
    ("statefulset", "apps/v1"),
    ("daemonset", "apps/v1"),
    ("job", "batch/v1"),
];

/// After how long each workload was ready, since `kubectl apply`; no workloads where it was applied over itself.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    /// By kind and name.
    pub workloads: BTreeMap<String, Duration>,
    /// All of them, and the Jobs through.
    pub all: Duration,
}

impl Cluster {
    /// Brings a deployment into the cluster and waits until all of it is ready. What another one has left there is deleted first.
    ///
    /// # Errors
    /// When something does not become ready in time; with the end of what `manifests/deploy` said.
    pub async fn deploy(&self, deployment: &Deployment) -> Result<Readiness> {
        self.claim().await?;
        let (_, digest) = self.secrets().await?;
        let folder = self.write(deployment).await?;
        let stood = self.stands(deployment.name(), &digest).await?;
        if !stood {
            say("emptying the cluster of what was there");
            self.empty().await?;
        }
        say(format_args!("applying {}", deployment.name()));
        let log = folder.join("deploy.log");
        let output = File::create(&log)?;
        let began = Instant::now();
        let mut run = Command::new(self.project.join("manifests/deploy"))
            .arg(&folder)
            .env("DEPLOY_TIMEOUT", self.settings.patience.as_secs().to_string())
            // What is there is e2e's own, and growth goes back to one pod.
            .env("DEPLOY_SHRINK", "1")
            .stdin(Stdio::null())
            .stderr(output.try_clone()?)
            .stdout(output)
            .kill_on_drop(true)
            .spawn()
            .context("manifests/deploy cannot be started")?;
        let mut readiness = Readiness::default();
        let status = loop {
            if let Some(status) = run.try_wait()? {
                break status;
            }
            // The API may be slow while everything starts: the next look will see it.
            if !stood && let Ok(workloads) = self.workloads().await {
                readiness.note(&workloads, began.elapsed());
            }
            sleep(LOOK).await;
        };
        readiness.all = began.elapsed();
        let said = tokio::fs::read_to_string(&log).await.unwrap_or_default();
        let tail: Vec<_> = said.lines().rev().take(15).collect();
        let tail: Vec<_> = tail.into_iter().rev().collect();
        ensure!(
            status.success(),
            "manifests/deploy {}: {}",
            folder.display(),
            tail.join("\n")
        );
        if !stood {
            readiness.note(&self.workloads().await?, began.elapsed());
        }
        say(format_args!("all ready after {}", seconds(readiness.all)));
        Ok(readiness)
    }

    /// Applies only those objects of a deployment that have this label `app.kubernetes.io/component`, with the settings and passwords
    /// that they may name. Does not wait.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn apply_only(&self, deployment: &Deployment, component: &str) -> Result<()> {
        let folder = self.write(deployment).await?.display().to_string();
        let label = format!("app.kubernetes.io/component in ({component},configuration)");
        let arguments = ["apply", "--kustomize", &folder, "--selector", &label];
        self.kubectl.run(&arguments).await.map(drop)
    }

    async fn write(&self, deployment: &Deployment) -> Result<PathBuf> {
        let (_, digest) = self.secrets().await?;
        let deployment = self.without_what_has_no_image(deployment);
        deployment.write(&self.project, &self.images().await?, &digest)
    }

    /// All workloads of the installation.
    ///
    /// # Errors
    /// When the API does not answer.
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

    /// Fluentd and Dashboards are for clusters that have their images.
    fn without_what_has_no_image(&self, deployment: &Deployment) -> Deployment {
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

    /// Images in place of the manifests': its full name, and the other.
    async fn images(&self) -> Result<Vec<(String, String)>> {
        let mut images = Vec::new();
        for (image, wanted) in &self.settings.images {
            images.push((self.image(image).await?, wanted.clone()));
        }
        Ok(images)
    }

    /// What the manifests call an image: `irmgard/irmgard:0.1.0` for `irmgard`.
    ///
    /// # Errors
    /// When they have none of that name.
    pub async fn image(&self, name: &str) -> Result<String> {
        let output = Command::new(self.project.join("manifests/build-images"))
            .args(["--name", name])
            .output()
            .await?;
        let known = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        ensure!(
            !known.is_empty(),
            "manifests/images/kustomization.yaml does not name {name}"
        );
        Ok(known)
    }
}

impl Readiness {
    /// Notes what is ready for the first time; what wants no pod is left out.
    fn note(&mut self, workloads: &[Workload], after: Duration) {
        for workload in workloads.iter().filter(|one| one.wanted > 0 && one.is_ready()) {
            let name = format!("{}/{}", workload.kind, workload.name);
            if let Entry::Vacant(place) = self.workloads.entry(name) {
                say(format_args!("{} after {}", place.key(), seconds(after)));
                place.insert(after);
            }
        }
    }

    /// Rows of a table, the first that was ready first.
    #[must_use]
    pub fn rows(&self) -> Vec<Vec<String>> {
        let mut sorted: Vec<_> = self.workloads.iter().collect();
        sorted.sort_by_key(|(_, after)| **after);
        let mut rows: Vec<_> = sorted
            .into_iter()
            .map(|(name, after)| vec![name.clone(), seconds(*after)])
            .collect();
        rows.push(vec!["all, and the Jobs through".to_owned(), seconds(self.all)]);
        rows
    }
}

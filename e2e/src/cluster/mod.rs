//! A cluster, through `kubectl`: what is brought there, what is done to it, how its services are reached from outside.

mod deploy;
mod deployment;
mod ground;
mod kubectl;
mod lines;
mod places;
mod wait;
mod workload;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) use self::lines::at;
pub use self::{
    deploy::Readiness,
    deployment::Deployment,
    kubectl::{Api, Kubectl},
    lines::{Lines, PhotoLines},
    places::{Places, Secrets},
    wait::{Seen, until},
    workload::{Pod, Workload},
};
use crate::settings::Settings;

/// Where everything runs.
pub const NAMESPACE: &str = "irmgard";
/// Where Fluentd runs.
pub const FLUENTD: &str = "irmgard-fluentd";

/// The label of namespaces that e2e has made and may delete.
const MADE_BY: &str = "irmgard.dev/made-by";
/// Their annotation with the deployment's name.
const DEPLOYMENT: &str = "irmgard.dev/e2e-deployment";
/// Their annotation with a digest of the passwords.
const SECRETS: &str = "irmgard.dev/e2e-secrets";

/// How a pod is made to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// It is asked to end, and has its time for that.
    Plain,
    /// `--grace-period=0 --force`: it is killed, and the API forgets it at once.
    Forced,
}

impl Deletion {
    /// For people.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "deleted",
            Self::Forced => "killed",
        }
    }
}

/// A cluster.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    api: Api,
    settings: Settings,
    project: PathBuf,
}

impl Cluster {
    /// The cluster that kubectl speaks to.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn connect(settings: Settings) -> Result<Self> {
        let kubectl = Kubectl::from_environment();
        let api = Api::start(&kubectl).await?;
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Ok(Self {
            kubectl,
            api,
            settings,
            project: project
                .canonicalize()
                .with_context(|| format!("the project's folder {} is gone", project.display()))?,
        })
    }

    /// The command.
    #[must_use]
    pub const fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The Kubernetes API.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// The settings of the run.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The project's folder.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// Which cluster it is: context and server, for people.
    ///
    /// # Errors
    /// When kubectl cannot say.
    pub async fn name(&self) -> Result<String> {
        let format = "jsonpath={.current-context} at {.clusters[0].cluster.server}";
        let name = self
            .kubectl
            .run(&["config", "view", "--minify", "--output", format])
            .await?;
        Ok(name.trim().to_owned())
    }

    /// The nodes.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn nodes(&self) -> Result<Vec<Value>> {
        self.api.list("/api/v1/nodes").await
    }

    /// The pods with this label `app.kubernetes.io/name`, of Jobs too, by name.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn pods(&self, component: &str) -> Result<Vec<Pod>> {
        let namespace = if component == "fluentd" {
            FLUENTD
        } else {
            NAMESPACE
        };
        let path = format!(
            "/api/v1/namespaces/{namespace}/pods?labelSelector=app.kubernetes.io%2Fname%3D{component}"
        );
        let mut pods: Vec<_> = self.api.list(&path).await?.iter().map(Pod::from).collect();
        pods.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(pods)
    }

    /// All pods of the installation.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn all_pods(&self) -> Result<Vec<Pod>> {
        let mut pods = Vec::new();
        for namespace in [NAMESPACE, FLUENTD] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            pods.extend(self.api.list(&path).await?.iter().map(Pod::from));
        }
        Ok(pods)
    }

    /// A workload, `deployment/irmgard`; None where there is none.
    ///
    /// # Errors
    /// When the API does not answer.
    pub async fn workload(&self, kind: &'static str, name: &str) -> Result<Option<Workload>> {
        let namespace = if kind == "daemonset" { FLUENTD } else { NAMESPACE };
        let path = format!("/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}");
        let object = self.api.get(&path).await?;
        Ok(object.map(|object| Workload::from(kind, &object)))
    }

    /// Waits until a workload has all its pods, and all serve.
    ///
    /// # Errors
    /// When they do not in time.
    pub async fn ready(&self, kind: &'static str, name: &str, patience: Duration) -> Result<()> {
        until(&format!("{kind}/{name} is ready"), patience, async || {
            Ok(match self.workload(kind, name).await? {
                Some(workload) if workload.is_ready() => Seen::Yes(()),
                Some(workload) => Seen::NotYet(workload.to_string()),
                None => Seen::NotYet("there is none".to_owned()),
            })
        })
        .await
    }

    /// Changes how many pods a workload has, as `deployment/irmgard`. Does not wait.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn scale(&self, workload: &str, count: u32) -> Result<()> {
        let count = format!("--replicas={count}");
        let arguments = ["scale", "--namespace", NAMESPACE, workload, &count];
        self.kubectl.run(&arguments).await.map(drop)
    }

    /// What a program prints that is run in a pod's container, with something on its standard input where that is given.
    ///
    /// # Errors
    /// When it fails; with what it said.
    pub async fn inside(
        &self,
        pod: &str,
        container: &str,
        words: &[&str],
        input: Option<&str>,
    ) -> Result<String> {
        let mut arguments = vec!["exec", "--namespace", NAMESPACE, pod, "--container", container];
        if input.is_some() {
            arguments.push("--stdin");
        }
        arguments.push("--");
        arguments.extend(words);
        self.kubectl.feed(&arguments, input).await
    }

    /// Deletes a pod. Does not wait.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn delete(&self, pod: &Pod, how: Deletion) -> Result<()> {
        let mut arguments = vec![
            "delete",
            "pod",
            "--namespace",
            &pod.namespace,
            &pod.name,
            "--wait=false",
        ];
        if how == Deletion::Forced {
            arguments.extend(["--grace-period=0", "--force"]);
        }
        self.kubectl.run(&arguments).await.map(drop)
    }
}

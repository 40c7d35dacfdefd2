//! The cluster under test: deploys to it, changes it, and reaches its services from outside. Uses `kubectl`.

mod deploy;
mod deployment;
mod endpoints;
mod held_pods;
mod kubectl;
mod namespace;
mod photo_lines;
mod wait;
mod workload;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use serde_json::Value;

pub(crate) use self::photo_lines::field;
pub use self::{
    deploy::DeploymentTimes,
    deployment::Deployment,
    endpoints::{Endpoints, Secrets},
    kubectl::{Kubectl, KubernetesApi},
    photo_lines::{LogSource, PhotoLines},
    wait::{Condition, wait_until},
    workload::{Pod, Workload},
};
use crate::settings::E2eSettings;

/// The namespace of everything except Fluentd.
pub const NAMESPACE: &str = "irmgard";
/// The namespace of Fluentd.
pub const FLUENTD: &str = "irmgard-fluentd";

/// The label of namespaces that e2e created and may delete.
const MADE_BY: &str = "irmgard.dev/made-by";
/// The annotation of a namespace with the deployment's name.
const DEPLOYMENT: &str = "irmgard.dev/e2e-deployment";
/// The annotation of a namespace with a digest of the passwords.
const SECRETS: &str = "irmgard.dev/e2e-secrets";

/// How a pod is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    /// With its grace period.
    Graceful,
    /// With `--grace-period=0 --force`: the API forgets the pod at once, and the kubelet kills it.
    Forced,
}

impl Deletion {
    /// The name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Graceful => "deleted",
            Self::Forced => "killed",
        }
    }
}

/// The cluster under test.
#[derive(Debug)]
pub struct Cluster {
    kubectl: Kubectl,
    api: KubernetesApi,
    settings: E2eSettings,
    project: PathBuf,
}

impl Cluster {
    /// Connects to the cluster of kubectl's current context.
    pub async fn connect(settings: E2eSettings) -> Result<Self> {
        let kubectl = Kubectl::from_environment();
        let api = KubernetesApi::start(&kubectl).await?;
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        Ok(Self {
            kubectl,
            api,
            settings,
            project: project
                .canonicalize()
                .with_context(|| format!("the project's folder {} does not exist", project.display()))?,
        })
    }

    pub const fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    pub const fn api(&self) -> &KubernetesApi {
        &self.api
    }

    pub const fn settings(&self) -> &E2eSettings {
        &self.settings
    }

    /// The project's folder.
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// Context and server of the cluster, for messages.
    pub async fn name(&self) -> Result<String> {
        let format = "jsonpath={.current-context} at {.clusters[0].cluster.server}";
        let arguments = ["config", "view", "--minify", "--output", format];
        let name = self.kubectl.run_with_input(&arguments, None).await?;
        Ok(name.trim().to_owned())
    }

    /// The nodes of the cluster.
    pub async fn nodes(&self) -> Result<Vec<Value>> {
        self.api.list("/api/v1/nodes").await
    }

    /// The pods with this label `app.kubernetes.io/name`, sorted by name. Includes the pods of Jobs.
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
    pub async fn all_pods(&self) -> Result<Vec<Pod>> {
        let mut pods = Vec::new();
        for namespace in [NAMESPACE, FLUENTD] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            pods.extend(self.api.list(&path).await?.iter().map(Pod::from));
        }
        Ok(pods)
    }

    /// A workload by kind (`deployment`) and name (`irmgard`), if it exists.
    pub async fn workload(&self, kind: &'static str, name: &str) -> Result<Option<Workload>> {
        let namespace = if kind == "daemonset" { FLUENTD } else { NAMESPACE };
        let path = format!("/apis/apps/v1/namespaces/{namespace}/{kind}s/{name}");
        let object = self.api.get(&path).await?;
        Ok(object.map(|object| Workload::from(kind, &object)))
    }

    /// Waits until all pods of a workload are ready.
    pub async fn wait_until_ready(&self, kind: &'static str, name: &str, time_limit: Duration) -> Result<()> {
        wait_until(&format!("{kind}/{name} is ready"), time_limit, async || {
            Ok(match self.workload(kind, name).await? {
                Some(workload) if workload.is_ready() => Condition::Met(()),
                Some(workload) => Condition::Unmet(workload.to_string()),
                None => Condition::Unmet("it does not exist".to_owned()),
            })
        })
        .await
    }

    /// Scales a workload such as `deployment/irmgard`. Does not wait.
    pub async fn scale(&self, workload: &str, count: u32) -> Result<()> {
        let command = format!("scale --namespace {NAMESPACE} {workload} --replicas={count}");
        self.kubectl.run(&command).await.map(drop)
    }

    /// Runs a program in a pod's container, optionally with standard input. Returns its standard output.
    ///
    /// # Errors
    /// When it fails; with its standard error.
    pub async fn exec(
        &self,
        pod: &str,
        container: &str,
        program: &[&str],
        input: Option<&str>,
    ) -> Result<String> {
        let mut arguments = vec!["exec", "--namespace", NAMESPACE, pod, "--container", container];
        if input.is_some() {
            arguments.push("--stdin");
        }
        arguments.push("--");
        arguments.extend(program);
        self.kubectl.run_with_input(&arguments, input).await
    }

    /// Deletes a pod. Does not wait.
    pub async fn delete(&self, pod: &Pod, how: Deletion) -> Result<()> {
        let force = match how {
            Deletion::Graceful => "",
            Deletion::Forced => "--grace-period=0 --force",
        };
        let (namespace, name) = (&pod.namespace, &pod.name);
        let command = format!("delete pod --namespace {namespace} {name} --wait=false {force}");
        self.kubectl.run(&command).await.map(drop)
    }
}

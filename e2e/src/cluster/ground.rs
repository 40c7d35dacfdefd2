//! The namespaces: whose they are, and what stands on them.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{Cluster, DEPLOYMENT, FLUENTD, MADE_BY, NAMESPACE, Pod, SECRETS, Seen, places::Secrets, until};
use crate::say::say;

/// The finalizer of a pod that is kept.
const KEEPS: &str = "irmgard.dev/e2e";

impl Cluster {
    /// Sees to it that the namespaces may be changed: they are not there, or e2e made them.
    ///
    /// # Errors
    /// When somebody else did, unless the settings say that it does not matter.
    pub async fn claim(&self) -> Result<()> {
        for namespace in [NAMESPACE, FLUENTD] {
            let Some(object) = self.namespace(namespace).await? else {
                continue;
            };
            ensure!(
                object["metadata"]["labels"][MADE_BY] == "e2e" || self.settings.force,
                "the cluster has a namespace {namespace} that e2e has not made: it may be somebody's. Name another cluster \
                 (KUBECONFIG, kubectl config use-context), or give --force (E2E_FORCE=1): then everything in it is deleted"
            );
        }
        Ok(())
    }

    async fn namespace(&self, name: &str) -> Result<Option<Value>> {
        self.api.get(&format!("/api/v1/namespaces/{name}")).await
    }

    /// Deletes both namespaces with everything in them, volumes too, and waits until they are gone.
    ///
    /// # Errors
    /// When they do not go in time.
    pub async fn empty(&self) -> Result<()> {
        let arguments = [
            "delete",
            "namespace",
            NAMESPACE,
            FLUENTD,
            "--ignore-not-found",
            "--wait=false",
        ];
        self.kubectl.run(&arguments).await?;
        // Left by a run that was interrupted while it kept them.
        for namespace in [NAMESPACE, FLUENTD] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            for pod in self.api.list(&path).await? {
                if let Some(name) = kept(&pod) {
                    self.free(namespace, name).await?;
                }
            }
        }
        until("the namespaces are deleted", self.settings.patience, async || {
            self.hurry_rabbitmq().await?;
            let mut left = String::new();
            for namespace in [NAMESPACE, FLUENTD] {
                if let Some(object) = self.namespace(namespace).await? {
                    let _ = write!(left, "{namespace} is {} ", object["status"]["phase"]);
                }
            }
            Ok(if left.is_empty() {
                Seen::Yes(())
            } else {
                Seen::NotYet(left)
            })
        })
        .await
    }

    /// A RabbitMQ node of three waits until the others can do without it, which nobody can when all go. Its messages go anyway.
    async fn hurry_rabbitmq(&self) -> Result<()> {
        let arguments = [
            "delete",
            "pod",
            "--namespace",
            NAMESPACE,
            "--selector",
            "app.kubernetes.io/name=rabbitmq",
            "--grace-period=1",
            "--ignore-not-found",
            "--wait=false",
        ];
        self.kubectl.run(&arguments).await.map(drop)
    }

    /// Sees to it that a pod's object stays when the pod is deleted, so that nobody makes another in its place.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn keep(&self, pod: &Pod) -> Result<()> {
        let finalizers = json!([KEEPS]);
        self.finalizers(&pod.namespace, &pod.name, &finalizers).await
    }

    /// Lets the object of a pod go, if it was kept.
    ///
    /// # Errors
    /// When kubectl fails.
    pub async fn free(&self, namespace: &str, pod: &str) -> Result<()> {
        self.finalizers(namespace, pod, &Value::Null).await
    }

    async fn finalizers(&self, namespace: &str, pod: &str, finalizers: &Value) -> Result<()> {
        let patch = json!({ "metadata": { "finalizers": finalizers } }).to_string();
        let arguments = [
            "patch",
            "pod",
            pod,
            "--namespace",
            namespace,
            "--type=merge",
            "--patch",
            &patch,
        ];
        self.kubectl.run(&arguments).await.map(drop)
    }

    /// Whether this deployment runs there with these passwords, so that it can be applied over itself.
    pub(super) async fn stands(&self, deployment: &str, secrets: &str) -> Result<bool> {
        let Some(object) = self.namespace(NAMESPACE).await? else {
            return Ok(false);
        };
        let marks = &object["metadata"]["annotations"];
        Ok(object["status"]["phase"] == "Active"
            && marks[DEPLOYMENT] == deployment
            && marks[SECRETS] == secrets)
    }

    /// The passwords; drawn now where there are none. The second is a digest of them.
    ///
    /// # Errors
    /// When they cannot be drawn or read.
    pub async fn secrets(&self) -> Result<(Secrets, String)> {
        let file = self.project.join("manifests/secrets/generated/values");
        if !file.is_file() {
            say("there are no secrets yet: drawing them (make secrets)");
        }
        // Also where there are: it adds those that are new.
        let status = Command::new(self.project.join("manifests/secrets/make-secrets"))
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .context("manifests/secrets/make-secrets cannot be started")?;
        ensure!(
            status.success(),
            "manifests/secrets/make-secrets failed: {status}"
        );
        let text = tokio::fs::read_to_string(&file)
            .await
            .with_context(|| file.display().to_string())?;
        let digest = hex::encode(&Sha256::digest(&text)[..8]);
        Ok((Secrets::parse(&text), digest))
    }
}

/// The name of a pod that is kept.
fn kept(pod: &Value) -> Option<&str> {
    let metadata = &pod["metadata"];
    let ours = metadata["finalizers"]
        .as_array()?
        .iter()
        .any(|finalizer| finalizer == KEEPS);
    metadata["name"].as_str().filter(|_| ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_that_e2e_keeps_are_freed() {
        let pod =
            |finalizers: Value| json!({ "metadata": { "name": "postgres-0", "finalizers": finalizers } });
        assert_eq!(kept(&pod(json!([KEEPS]))), Some("postgres-0"));
        assert_eq!(kept(&pod(json!(["example.org/other"]))), None);
        assert_eq!(kept(&pod(Value::Null)), None);
    }
}

//! The namespaces: whose they are, and what stands on them.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{Cluster, DEPLOYMENT, FLUENTD, MADE_BY, NAMESPACE, SECRETS, Seen, places::Secrets, until};
use crate::say::say;

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
        // A RabbitMQ node of three waits until the others can do without it, which nobody can here. Its messages go anyway.
        let label = "app.kubernetes.io/name=rabbitmq";
        let arguments = [
            "delete",
            "pod",
            "--namespace",
            NAMESPACE,
            "--selector",
            label,
            "--grace-period=1",
            "--ignore-not-found",
            "--wait=false",
        ];
        self.kubectl.run(&arguments).await?;
        until("the namespaces are deleted", self.settings.patience, async || {
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

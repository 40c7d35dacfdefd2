//! The namespaces of the installation: their owner, their deletion, and their passwords.

use std::fmt::Write;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{
    Cluster, Condition, DEPLOYMENT, FLUENTD, MADE_BY, NAMESPACE, SECRETS, endpoints::Secrets,
    held_pods::held_pod_name, wait_until,
};
use crate::console::print_progress;

impl Cluster {
    /// Checks that e2e may change the namespaces: they do not exist, or e2e created them.
    ///
    /// # Errors
    /// When e2e did not create them, unless `force` is set.
    pub async fn require_ownership(&self) -> Result<()> {
        for namespace in [NAMESPACE, FLUENTD] {
            let Some(object) = self.namespace(namespace).await? else {
                continue;
            };
            ensure!(
                object["metadata"]["labels"][MADE_BY] == "e2e" || self.settings.force,
                "e2e did not create the namespace {namespace} of this cluster. Choose another cluster (KUBECONFIG, kubectl config \
                 use-context), or use --force (E2E_FORCE=1), which deletes everything in the namespace"
            );
        }
        Ok(())
    }

    async fn namespace(&self, name: &str) -> Result<Option<Value>> {
        self.api.get(&format!("/api/v1/namespaces/{name}")).await
    }

    /// Deletes both namespaces with all objects and volumes, and waits until they are deleted.
    pub async fn delete_namespaces(&self) -> Result<()> {
        let command = format!("delete namespace {NAMESPACE} {FLUENTD} --ignore-not-found --wait=false");
        self.kubectl.run(&command).await?;
        // An interrupted run may have left held pods.
        for namespace in [NAMESPACE, FLUENTD] {
            let path = format!("/api/v1/namespaces/{namespace}/pods");
            for pod in self.api.list(&path).await? {
                if let Some(name) = held_pod_name(&pod) {
                    self.release_pod(namespace, name).await?;
                }
            }
        }
        wait_until(
            "the namespaces are deleted",
            self.settings.time_limit,
            async || {
                self.delete_rabbitmq_pods().await?;
                let mut remaining = String::new();
                for namespace in [NAMESPACE, FLUENTD] {
                    if let Some(object) = self.namespace(namespace).await? {
                        let _ = write!(remaining, "{namespace} is {} ", object["status"]["phase"]);
                    }
                }
                Ok(if remaining.is_empty() {
                    Condition::Met(())
                } else {
                    Condition::Unmet(remaining)
                })
            },
        )
        .await
    }

    /// Deletes RabbitMQ's pods with a short grace period. When all three nodes end, each would wait for the others.
    async fn delete_rabbitmq_pods(&self) -> Result<()> {
        let command = format!(
            "delete pod --namespace {NAMESPACE} --selector app.kubernetes.io/name=rabbitmq --grace-period=1 --ignore-not-found --wait=false"
        );
        self.kubectl.run(&command).await.map(drop)
    }

    /// Whether this deployment runs with these passwords, so that it can be applied again.
    pub(super) async fn is_deployed(&self, deployment: &str, secrets: &str) -> Result<bool> {
        let Some(object) = self.namespace(NAMESPACE).await? else {
            return Ok(false);
        };
        let annotations = &object["metadata"]["annotations"];
        Ok(object["status"]["phase"] == "Active"
            && annotations[DEPLOYMENT] == deployment
            && annotations[SECRETS] == secrets)
    }

    /// The passwords, and a digest of them. Creates missing passwords.
    pub async fn secrets(&self) -> Result<(Secrets, String)> {
        let file = self.project.join("manifests/secrets/generated/values");
        if !file.is_file() {
            print_progress("no secrets yet: creating them (make secrets)");
        }
        // It also adds secrets that newer manifests need.
        let status = Command::new(self.project.join("manifests/secrets/make-secrets"))
            .stdout(std::process::Stdio::null())
            .status()
            .await
            .context("cannot start manifests/secrets/make-secrets")?;
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

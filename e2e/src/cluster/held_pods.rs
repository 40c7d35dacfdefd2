//! Holds the objects of killed pods in the API, so that no replacement pod starts. This simulates the loss of a node.

use anyhow::Result;
use serde_json::{Value, json};

use super::{Cluster, Deletion, Pod};

/// The finalizer of a held pod.
const FINALIZER: &str = "irmgard.dev/e2e";

/// Stops all processes of a pod. They cannot shut down cleanly before SIGKILL, and answer nothing meanwhile.
const FREEZE: [&str; 4] = ["--", "sh", "-c", "kill -s STOP -- -1"];

impl Cluster {
    /// Kills pods without a clean shutdown and holds their objects. No replacement starts until [`Self::release_pods`].
    pub async fn kill_and_hold(&self, pods: &[Pod]) -> Result<()> {
        for pod in pods {
            let finalizers = json!([FINALIZER]);
            self.set_finalizers(&pod.namespace, &pod.name, &finalizers)
                .await?;
        }
        for pod in pods {
            let mut arguments = vec!["exec", "--namespace", &pod.namespace, &pod.name];
            arguments.extend(FREEZE);
            self.kubectl().run_with_input(&arguments, None).await?;
            self.delete(pod, Deletion::Forced).await?;
        }
        Ok(())
    }

    /// Releases held pods, so that replacements can start.
    pub async fn release_pods(&self, pods: &[Pod]) -> Result<()> {
        let mut result = Ok(());
        for pod in pods {
            // Release all, even after an error: a held object blocks the deletion of its namespace.
            result = result.and(self.release_pod(&pod.namespace, &pod.name).await);
        }
        result
    }

    /// Releases one pod, if it is held.
    pub(super) async fn release_pod(&self, namespace: &str, pod: &str) -> Result<()> {
        self.set_finalizers(namespace, pod, &Value::Null).await
    }

    async fn set_finalizers(&self, namespace: &str, pod: &str, finalizers: &Value) -> Result<()> {
        let patch = json!({ "metadata": { "finalizers": finalizers } }).to_string();
        // JSON without spaces.
        let command = format!("patch pod {pod} --namespace {namespace} --type=merge --patch {patch}");
        self.kubectl().run(&command).await.map(drop)
    }
}

/// The name of a pod, if e2e holds it.
pub(super) fn held_pod_name(pod: &Value) -> Option<&str> {
    let metadata = &pod["metadata"];
    let is_held = metadata["finalizers"]
        .as_array()?
        .iter()
        .any(|finalizer| finalizer == FINALIZER);
    metadata["name"].as_str().filter(|_| is_held)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_pods_with_the_finalizer_are_held() {
        let pod =
            |finalizers: Value| json!({ "metadata": { "name": "postgres-0", "finalizers": finalizers } });
        assert_eq!(held_pod_name(&pod(json!([FINALIZER]))), Some("postgres-0"));
        assert_eq!(held_pod_name(&pod(json!(["example.org/other"]))), None);
        assert_eq!(held_pod_name(&pod(Value::Null)), None);
    }
}

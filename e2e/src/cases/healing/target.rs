//! The components whose pods are deleted.

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, Endpoints, Pod};

/// A component whose pod is deleted.
#[derive(Debug, PartialEq, Eq)]
pub struct Target {
    /// The name in reports and in E2E_ONLY.
    pub name: &'static str,
    /// The label `app.kubernetes.io/name` of its pods.
    pub label: &'static str,
    /// The label `app.kubernetes.io/component` of its pods.
    pub component: &'static str,
    /// The kind of its workload.
    pub kind: &'static str,
    /// The name of its workload.
    pub workload: &'static str,
    /// The manifests' component for three pods. Empty if only the number of replicas changes; `None` if three pods are not
    /// supported.
    pub three: Option<&'static str>,
    /// Whether it needs an image of Fluentd.
    pub needs_fluentd: bool,
}

const fn target(
    name: &'static str,
    label: &'static str,
    component: &'static str,
    kind: &'static str,
) -> Target {
    Target {
        name,
        label,
        component,
        kind,
        workload: name,
        three: None,
        needs_fluentd: false,
    }
}

/// OpenSearch's bootstrap check requires this limit on open files when a node is to discover others.
const MIN_OPEN_FILES: u64 = 65_535;

pub const TARGETS: [Target; 7] = [
    Target {
        three: Some(""),
        ..target("irmgard", "irmgard", "web", "deployment")
    },
    Target {
        three: Some(""),
        ..target("anonymizer", "anonymizer", "worker", "deployment")
    },
    Target {
        three: Some("postgres-three"),
        ..target("postgres", "postgres", "database", "statefulset")
    },
    Target {
        three: Some("rabbitmq-three"),
        ..target("rabbitmq", "rabbitmq", "broker", "statefulset")
    },
    target("minio", "object-store", "store", "statefulset"),
    Target {
        three: Some("opensearch-three"),
        ..target("opensearch", "opensearch", "log-store", "statefulset")
    },
    Target {
        needs_fluentd: true,
        ..target("fluentd", "fluentd", "log-shipper", "daemonset")
    },
];

impl Target {
    /// Whether the pod belongs to this component and is ready.
    pub fn has_ready_pod(&self, pod: &Pod) -> bool {
        pod.component == self.component && pod.ready && !pod.terminating
    }

    /// Why this cluster cannot run three pods of it, if so. It must run with one pod.
    pub async fn blocker(&self, cluster: &Cluster) -> Result<Option<String>> {
        if self.name != "opensearch" {
            return Ok(None);
        }
        let limit = cluster
            .exec("opensearch-0", "opensearch", &["sh", "-c", "ulimit -Hn"], None)
            .await?;
        Ok(open_files_problem(limit.trim()))
    }

    /// The pod to delete: the leader, if the component has one, else the first.
    pub async fn choose_pod(&self, cluster: &Cluster, endpoints: &Endpoints) -> Result<Pod> {
        let mut pods = cluster.pods(self.label).await?;
        pods.retain(|pod| self.has_ready_pod(pod));
        ensure!(!pods.is_empty(), "{} has no ready pod", self.name);
        let leader = match self.name {
            "postgres" => pods.iter().find(|pod| pod.role.as_deref() == Some("primary")),
            "opensearch" => {
                let name = manager(endpoints).await?;
                pods.iter().find(|pod| pod.name == name)
            }
            _ => pods.first(),
        };
        leader
            .cloned()
            .with_context(|| format!("no pod of {} is the leader", self.name))
    }
}

/// The problem with this limit on open files (output of `ulimit -Hn`), if any.
fn open_files_problem(limit: &str) -> Option<String> {
    let limit: u64 = limit.parse().ok()?;
    (limit < MIN_OPEN_FILES).then(|| {
        format!("containers of this node may open {limit} files, but an OpenSearch cluster needs {MIN_OPEN_FILES} for each node")
    })
}

/// OpenSearch's cluster manager. Nodes have the names of their pods.
async fn manager(endpoints: &Endpoints) -> Result<String> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/_cat/cluster_manager?h=node", endpoints.opensearch);
    let text = http.get(url).send().await?.error_for_status()?.text().await?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opensearch_needs_enough_open_files() {
        assert!(open_files_problem("20000").is_some_and(|reason| reason.contains("may open 20000 files")));
        assert_eq!(open_files_problem("65535"), None);
        assert_eq!(open_files_problem("unlimited"), None);
    }
}

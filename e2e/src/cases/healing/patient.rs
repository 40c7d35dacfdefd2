//! What loses a pod.

use anyhow::{Context, Result, ensure};

use crate::cluster::{Cluster, Places, Pod};

/// A component one of whose pods goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Patient {
    /// For people, and in E2E_ONLY.
    pub name: &'static str,
    /// Its pods' `app.kubernetes.io/name`.
    pub label: &'static str,
    /// And `app.kubernetes.io/component`.
    pub component: &'static str,
    /// Its workload's kind.
    pub kind: &'static str,
    /// And name.
    pub workload: &'static str,
    /// The component of the manifests that makes three of it; an empty name where it is a number only, None where there is no such
    /// way.
    pub three: Option<&'static str>,
    /// Whether it is only there with an image of Fluentd.
    pub needs_fluentd: bool,
}

const fn patient(
    name: &'static str,
    label: &'static str,
    component: &'static str,
    kind: &'static str,
) -> Patient {
    Patient {
        name,
        label,
        component,
        kind,
        workload: name,
        three: None,
        needs_fluentd: false,
    }
}

/// So many files must a process be allowed to open, or OpenSearch does not start where it is to find others (its bootstrap check
/// of file descriptors).
const OPEN_FILES: u64 = 65_535;

/// All of them.
pub const PATIENTS: [Patient; 7] = [
    Patient {
        three: Some(""),
        ..patient("irmgard", "irmgard", "web", "deployment")
    },
    Patient {
        three: Some(""),
        ..patient("anonymizer", "anonymizer", "worker", "deployment")
    },
    Patient {
        three: Some("postgres-three"),
        ..patient("postgres", "postgres", "database", "statefulset")
    },
    Patient {
        three: Some("rabbitmq-three"),
        ..patient("rabbitmq", "rabbitmq", "broker", "statefulset")
    },
    patient("minio", "object-store", "store", "statefulset"),
    Patient {
        three: Some("opensearch-three"),
        ..patient("opensearch", "opensearch", "log-store", "statefulset")
    },
    Patient {
        needs_fluentd: true,
        ..patient("fluentd", "fluentd", "log-shipper", "daemonset")
    },
];

impl Patient {
    /// Whether a pod is one of its own, and serves.
    pub fn serves(&self, pod: &Pod) -> bool {
        pod.component == self.component && pod.ready && !pod.ending
    }

    /// Why there cannot be three here, if there cannot. It must run with one.
    pub async fn hindrance(&self, cluster: &Cluster) -> Result<Option<String>> {
        if self.name != "opensearch" {
            return Ok(None);
        }
        let said = cluster
            .inside("opensearch-0", "opensearch", &["sh", "-c", "ulimit -Hn"], None)
            .await?;
        Ok(too_few(said.trim()))
    }

    /// The pod that hurts most: the one that leads, where one does and it can be told.
    pub async fn victim(&self, cluster: &Cluster, places: &Places) -> Result<Pod> {
        let mut pods = cluster.pods(self.label).await?;
        pods.retain(|pod| self.serves(pod));
        ensure!(!pods.is_empty(), "{} has no pod that serves", self.name);
        let leader = match self.name {
            "postgres" => pods.iter().find(|pod| pod.role.as_deref() == Some("primary")),
            "opensearch" => {
                let name = manager(places).await?;
                pods.iter().find(|pod| pod.name == name)
            }
            _ => pods.first(),
        };
        leader
            .cloned()
            .with_context(|| format!("no pod of {} leads", self.name))
    }
}

/// What is wrong with a limit on open files, as a shell tells it.
fn too_few(limit: &str) -> Option<String> {
    let limit: u64 = limit.parse().ok()?;
    (limit < OPEN_FILES).then(|| {
        format!("containers of this node may open {limit} files, and each of several OpenSearch nodes wants {OPEN_FILES}")
    })
}

/// The node of OpenSearch that manages the others; nodes are called as their pods.
async fn manager(places: &Places) -> Result<String> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/_cat/cluster_manager?h=node", places.opensearch);
    let text = http.get(url).send().await?.error_for_status()?.text().await?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opensearch_wants_many_open_files() {
        assert!(too_few("20000").is_some_and(|reason| reason.contains("may open 20000 files")));
        assert_eq!(too_few("65535"), None);
        assert_eq!(too_few("unlimited"), None);
    }
}

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

/// The node of OpenSearch that manages the others; nodes are called as their pods.
async fn manager(places: &Places) -> Result<String> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("{}/_cat/cluster_manager?h=node", places.opensearch);
    let text = http.get(url).send().await?.error_for_status()?.text().await?;
    Ok(text.trim().to_owned())
}

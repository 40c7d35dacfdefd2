//! Who may speak to whom, as the policies of a build say it together, is what ARCHITECTURE.md draws.

use std::collections::BTreeSet;

use manifests::{
    Object,
    object::{Labels, labels, list_of, selects},
};
use serde_json::Value;

use crate::{Build, none, overlays};

/// From, to, port: all ways between pods that there are.
const ARROWS: &[(&str, &str, u64)] = &[
    ("irmgard", "postgres", 5432),
    ("irmgard", "rabbitmq", 5672),
    ("irmgard", "minio", 9000),
    ("anonymizer", "rabbitmq", 5672),
    ("anonymizer", "minio", 9000),
    ("desk", "postgres", 5432),
    ("desk", "minio", 9000),
    ("irmgard-migrate", "postgres", 5432),
    ("minio-setup", "minio", 9000),
    ("postgres", "postgres", 5432),
    ("postgres", "postgres", 8008),
    ("rabbitmq", "rabbitmq", 4369),
    ("rabbitmq", "rabbitmq", 25672),
    ("opensearch", "opensearch", 9200),
    ("opensearch", "opensearch", 9300),
    ("fluentd", "opensearch", 9200),
    ("dashboards", "opensearch", 9200),
    ("dashboards-import", "dashboards", 5601),
    ("logq-bootstrap", "opensearch", 9200),
    ("logq-retain", "opensearch", 9200),
];

/// Who may speak to the Kubernetes API.
const TO_THE_API: [&str; 4] = ["fluentd", "postgres", "postgres-settings", "rabbitmq"];

/// Ports that nobody listens on but the API server.
const API: [u64; 3] = [443, 6443, 8443];

/// A pod as policies see it.
struct Pod<'a> {
    name: &'a str,
    namespace: &'a str,
    labels: Labels,
    ports: Vec<u64>,
}

fn pods(build: &Build) -> Vec<Pod<'_>> {
    let workloads = build.objects.iter().filter(|object| object.template().is_some());
    workloads
        .map(|workload| Pod {
            name: workload.name(),
            namespace: workload.namespace(),
            labels: workload.pod_labels(),
            ports: list_of(&workload.pod()["containers"])
                .iter()
                .flat_map(|container| list_of(&container["ports"]))
                .filter_map(|port| port["containerPort"].as_u64())
                .collect(),
        })
        .collect()
}

/// The rules of a direction that hold for a pod; None when no policy speaks of it, and everything is allowed.
fn rules<'a>(build: &'a Build, pod: &Pod<'_>, direction: &str) -> Option<Vec<&'a Value>> {
    let policies: Vec<&Object> = build
        .objects
        .iter()
        .filter(|object| {
            object.kind() == "NetworkPolicy"
                && object.namespace() == pod.namespace
                && list_of(object.at("/spec/policyTypes"))
                    .iter()
                    .any(|kind| kind == direction)
                && selects(&labels(object.at("/spec/podSelector/matchLabels")), &pod.labels)
        })
        .collect();
    let list = format!("/spec/{}", direction.to_lowercase());
    (!policies.is_empty()).then(|| {
        policies
            .iter()
            .flat_map(|policy| list_of(policy.at(&list)))
            .collect()
    })
}

/// Whether a rule speaks of this pod, by name: a rule without peers speaks of what is outside.
fn names(rule: &Value, side: &str, home: &str, pod: &Pod<'_>) -> bool {
    list_of(&rule[side]).iter().any(|peer| {
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => selector["matchLabels"]["kubernetes.io/metadata.name"] == pod.namespace,
            None => home == pod.namespace,
        };
        namespace && selects(&labels(&peer["podSelector"]["matchLabels"]), &pod.labels)
    })
}

fn has_port(rule: &Value, port: u64) -> bool {
    list_of(&rule["ports"])
        .iter()
        .any(|allowed| allowed["port"] == port)
}

fn arrows(build: &Build) -> BTreeSet<(String, String, u64)> {
    let pods = pods(build);
    let mut found = BTreeSet::new();
    for from in &pods {
        let out = rules(build, from, "Egress")
            .unwrap_or_else(|| panic!("{}: {} may go anywhere", build.name, from.name));
        for to in &pods {
            let into = rules(build, to, "Ingress")
                .unwrap_or_else(|| panic!("{}: anybody may go to {}", build.name, to.name));
            for port in &to.ports {
                let leaves = out
                    .iter()
                    .any(|rule| names(rule, "to", from.namespace, to) && has_port(rule, *port));
                let enters = into
                    .iter()
                    .any(|rule| names(rule, "from", to.namespace, from) && has_port(rule, *port));
                if leaves && enters {
                    found.insert((from.name.to_owned(), to.name.to_owned(), *port));
                }
            }
        }
    }
    found
}

#[test]
fn pods_speak_along_the_arrows_only() {
    let Some(overlays) = overlays("network policies") else {
        return;
    };
    for build in &overlays {
        let there: BTreeSet<&str> = pods(build).iter().map(|pod| pod.name).collect();
        let wanted: BTreeSet<(String, String, u64)> = ARROWS
            .iter()
            .filter(|(from, to, _)| there.contains(from) && there.contains(to))
            .map(|(from, to, port)| ((*from).to_owned(), (*to).to_owned(), *port))
            .collect();
        let found = arrows(build);
        let missing = wanted
            .difference(&found)
            .map(|arrow| format!("{}: not allowed: {arrow:?}", build.name));
        let added = found
            .difference(&wanted)
            .map(|arrow| format!("{}: allowed: {arrow:?}", build.name));
        none(missing.chain(added).collect());
    }
}

#[test]
fn those_who_need_it_reach_the_api_server() {
    let Some(overlays) = overlays("ways to the API server") else {
        return;
    };
    for build in &overlays {
        for pod in pods(build) {
            let out = rules(build, &pod, "Egress").unwrap_or_default();
            let reaches = out
                .iter()
                .any(|rule| rule["to"].is_null() && API.iter().all(|port| has_port(rule, *port)));
            assert_eq!(
                reaches,
                TO_THE_API.contains(&pod.name),
                "{}: {}",
                build.name,
                pod.name
            );
        }
    }
}

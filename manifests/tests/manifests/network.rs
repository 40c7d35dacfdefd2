//! Who may speak to whom, as the policies of a build say it together, is what ARCHITECTURE.md draws.

use std::collections::BTreeSet;

use manifests::{
    Object, Tree,
    object::{Labels, labels, list_of, selects, text},
};
use serde_json::Value;

use crate::{Build, builds, none};

/// From, to, port: all ways between pods that there are.
const ARROWS: &[(&str, &str, u64)] = &[
    ("irmgard", "postgres", 5432),
    ("irmgard", "rabbitmq", 5672),
    ("irmgard", "minio", 9000),
    ("irmgard", "rabbitmq", 5671),
    ("irmgard", "otel-collector", 4317),
    ("anonymizer", "rabbitmq", 5672),
    ("anonymizer", "rabbitmq", 5671),
    ("anonymizer", "otel-collector", 4317),
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
pub const TO_THE_API: [&str; 4] = ["fluentd", "postgres", "postgres-settings", "rabbitmq"];

/// Ports that nobody listens on but the API server.
pub const API: [u64; 4] = [443, 6443, 8443, 16443];

/// The label that every namespace has.
pub const NAMESPACE: &str = "kubernetes.io/metadata.name";

/// A pod as policies see it.
pub struct Pod<'a> {
    pub name: &'a str,
    namespace: &'a str,
    pub labels: Labels,
    ports: Vec<u64>,
}

pub fn pods(build: &Build) -> Vec<Pod<'_>> {
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
pub fn rules<'a>(build: &'a Build, pod: &Pod<'_>, direction: &str) -> Option<Vec<&'a Value>> {
    let policies: Vec<&Object> = build
        .objects
        .iter()
        .filter(|object| {
            object.kind() == "NetworkPolicy"
                && object.namespace() == pod.namespace
                && list_of(object.at("/spec/policyTypes"))
                    .iter()
                    .any(|kind| kind == direction)
                && chooses(object.at("/spec/podSelector"), &pod.labels)
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

/// Whether a selector, with labels and expressions, chooses what has these labels.
fn chooses(selector: &Value, of: &Labels) -> bool {
    let expressions = list_of(&selector["matchExpressions"]);
    selects(&labels(&selector["matchLabels"]), of)
        && expressions.iter().all(|expression| {
            let value = of.get(text(&expression["key"]));
            let is_one =
                value.is_some_and(|value| list_of(&expression["values"]).iter().any(|one| one == value));
            match text(&expression["operator"]) {
                "In" => is_one,
                "NotIn" => !is_one,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("no operator of Kubernetes: {other:?}"),
            }
        })
}

/// Whether a rule speaks of this pod, by name: a rule without peers speaks of what is outside, and so does a block of addresses.
fn names(rule: &Value, side: &str, home: &str, pod: &Pod<'_>) -> bool {
    list_of(&rule[side]).iter().any(|peer| {
        let namespace = match peer.get("namespaceSelector") {
            Some(selector) => chooses(
                selector,
                &Labels::from([(NAMESPACE.to_owned(), pod.namespace.to_owned())]),
            ),
            None => peer["ipBlock"].is_null() && home == pod.namespace,
        };
        namespace && chooses(&peer["podSelector"], &pod.labels)
    })
}

/// A rule that names no ports allows all, and so does an entry without a number.
fn has_port(rule: &Value, port: u64) -> bool {
    let ports = list_of(&rule["ports"]);
    ports.is_empty()
        || ports.iter().any(|allowed| {
            allowed["port"]
                .as_u64()
                .is_none_or(|first| (first..=allowed["endPort"].as_u64().unwrap_or(first)).contains(&port))
        })
}

/// Whether nothing is allowed that is not named.
pub fn is_closed(build: &Build) -> bool {
    let mut policies = build
        .objects
        .iter()
        .filter(|object| object.kind() == "NetworkPolicy");
    policies.any(|object| object.name() == "deny")
}

/// Who may speak to whom; where no policy speaks of a pod, it may do everything.
fn arrows(build: &Build) -> BTreeSet<(String, String, u64)> {
    let pods = pods(build);
    let mut found = BTreeSet::new();
    for from in &pods {
        let out = rules(build, from, "Egress");
        for to in &pods {
            let into = rules(build, to, "Ingress");
            for port in &to.ports {
                let leaves = out.as_ref().is_none_or(|rules| {
                    rules
                        .iter()
                        .any(|rule| names(rule, "to", from.namespace, to) && has_port(rule, *port))
                });
                let enters = into.as_ref().is_none_or(|rules| {
                    rules
                        .iter()
                        .any(|rule| names(rule, "from", to.namespace, from) && has_port(rule, *port))
                });
                if leaves && enters {
                    found.insert((from.name.to_owned(), to.name.to_owned(), *port));
                }
            }
        }
    }
    found
}

/// The arrows between the pods that a build has, on the ports that they have.
fn wanted(build: &Build) -> BTreeSet<(String, String, u64)> {
    let there = pods(build);
    let has = |name: &str, port: Option<u64>| {
        there
            .iter()
            .any(|pod| pod.name == name && port.is_none_or(|port| pod.ports.contains(&port)))
    };
    ARROWS
        .iter()
        .filter(|(from, to, port)| has(from, None) && has(to, Some(*port)))
        .map(|(from, to, port)| ((*from).to_owned(), (*to).to_owned(), *port))
        .collect()
}

/// With network-policies these and no others; a component without it must cut none of them off.
#[test]
fn pods_speak_along_the_arrows_only() {
    let Some(builds) = builds("network policies") else {
        return;
    };
    let (mut closed, mut wrong) = (0, Vec::new());
    for build in &builds {
        let (wanted, found) = (wanted(build), arrows(build));
        let missing = wanted.difference(&found);
        wrong.extend(missing.map(|arrow| format!("{}: not allowed: {arrow:?}", build.name)));
        if is_closed(build) {
            closed += 1;
            let added = found.difference(&wanted);
            wrong.extend(added.map(|arrow| format!("{}: allowed: {arrow:?}", build.name)));
        }
    }
    assert!(closed > 5, "only {closed} builds have network-policies");
    none(wrong);
}

/// One without allows all of them, which the other side's rules may hide.
#[test]
fn every_rule_names_its_ports() {
    let Some(builds) = builds("ports of the policies") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for build in &builds {
        for policy in build
            .objects
            .iter()
            .filter(|object| object.kind() == "NetworkPolicy")
        {
            for rule in ["/spec/ingress", "/spec/egress"]
                .iter()
                .flat_map(|list| list_of(policy.at(list)))
            {
                seen += 1;
                let ports = list_of(&rule["ports"]);
                if ports.is_empty() || !ports.iter().all(|port| port["port"].is_u64()) {
                    wrong.push(format!("{}: {policy}: {rule}", build.name));
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} rules were looked at");
    none(wrong);
}

#[test]
fn those_who_need_it_reach_the_api_server() {
    let Some(builds) = builds("ways to the API server") else {
        return;
    };
    for build in &builds {
        for pod in pods(build) {
            let reaches = rules(build, &pod, "Egress").map(|out| {
                out.iter()
                    .any(|rule| rule["to"].is_null() && API.iter().all(|port| has_port(rule, *port)))
            });
            // Without policies everybody does.
            if is_closed(build) || reaches.is_some() {
                let may = reaches.unwrap_or(true);
                assert_eq!(
                    may,
                    TO_THE_API.contains(&pod.name),
                    "{}: {}",
                    build.name,
                    pod.name
                );
            }
        }
    }
}

#[test]
fn all_may_ask_for_names() {
    let Some(builds) = builds("ways to DNS") else {
        return;
    };
    let dns = Pod {
        name: "DNS",
        namespace: "kube-system",
        labels: Labels::new(),
        ports: vec![53],
    };
    for build in &builds {
        for pod in pods(build) {
            let asks = rules(build, &pod, "Egress").is_none_or(|out| {
                out.iter().any(|rule| {
                    let anywhere = rule["to"].is_null();
                    has_port(rule, 53) && (anywhere || names(rule, "to", pod.namespace, &dns))
                })
            });
            assert!(asks, "{}: {} asks in vain", build.name, pod.name);
        }
    }
}

/// In the other order the policies would still lead to MinIO, which is gone, and nothing would say so.
#[test]
fn another_store_comes_after_the_policies_that_it_changes() {
    let Some(tree) = Tree::new("the order of components").unwrap() else {
        return;
    };
    let refusal = tree
        .with_components(&["external-s3", "network-policies"])
        .unwrap_err();
    assert!(format!("{refusal:#}").contains("minio"), "{refusal:#}");
}

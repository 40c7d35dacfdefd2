//! Who may speak to whom, as the policies of a build say it together, is what ARCHITECTURE.md draws.

use std::collections::BTreeSet;

use manifests::{
    Object,
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
const TO_THE_API: [&str; 4] = ["fluentd", "postgres", "postgres-settings", "rabbitmq"];

/// Ports that nobody listens on but the API server.
const API: [u64; 4] = [443, 6443, 8443, 16443];

/// Who else may come, from which namespace, its pods' label `app.kubernetes.io/name`, port. Metrics, but for the first.
const FROM_OUTSIDE: &[(&str, &str, &str, u64)] = &[
    ("irmgard", "ingress-nginx", "", 8080),
    ("irmgard", "monitoring", "prometheus", 9090),
    ("anonymizer", "monitoring", "prometheus", 9090),
    ("postgres", "monitoring", "prometheus", 8008),
    ("rabbitmq", "monitoring", "prometheus", 15692),
    ("minio", "monitoring", "prometheus", 9000),
    ("fluentd", "monitoring", "prometheus", 24231),
];

/// The label that every namespace has.
const NAMESPACE: &str = "kubernetes.io/metadata.name";

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

fn has_port(rule: &Value, port: u64) -> bool {
    list_of(&rule["ports"])
        .iter()
        .any(|allowed| allowed["port"] == port)
}

/// Whether nothing is allowed that is not named.
fn is_closed(build: &Build) -> bool {
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

/// Beyond the installation's own pods the ingress controller and what collects metrics, and nobody else.
#[test]
fn who_comes_from_outside_is_named() {
    let Some(builds) = builds("ways in from outside") else {
        return;
    };
    let closed = builds.iter().filter(|build| is_closed(build));
    // Its ports on the nodes are for the programs of e2e.
    for build in closed.filter(|build| build.name != "overlay e2e") {
        let mut found = BTreeSet::new();
        for pod in pods(build) {
            for rule in rules(build, &pod, "Ingress").unwrap() {
                assert!(
                    !rule["from"].is_null(),
                    "{}: anybody may go to {}",
                    build.name,
                    pod.name
                );
                for peer in list_of(&rule["from"]) {
                    let namespace = text(&peer["namespaceSelector"]["matchLabels"][NAMESPACE]);
                    if namespace.is_empty() || namespace.starts_with("irmgard") {
                        continue;
                    }
                    let name = text(&peer["podSelector"]["matchLabels"][schema::label::NAME]);
                    for port in list_of(&rule["ports"]) {
                        found.insert((pod.name, namespace, name, port["port"].as_u64().unwrap()));
                    }
                }
            }
        }
        let there: BTreeSet<&str> = pods(build).iter().map(|pod| pod.name).collect();
        let wanted = FROM_OUTSIDE.iter().copied().filter(|(to, ..)| there.contains(to));
        assert_eq!(found, wanted.collect(), "{}", build.name);
    }
}

/// Another S3 is out of the cluster, and nobody else goes there.
#[test]
fn another_store_is_reached_by_those_who_use_it() {
    let Some(builds) = builds("ways to another S3") else {
        return;
    };
    let mut seen = 0;
    let with = builds.iter().filter(|build| build.name.contains("external-s3"));
    for build in with.filter(|build| is_closed(build)) {
        for pod in pods(build).iter().filter(|pod| !TO_THE_API.contains(&pod.name)) {
            seen += 1;
            let out = rules(build, pod, "Egress").unwrap();
            let reaches = out.iter().any(|rule| rule["to"].is_null() && has_port(rule, 443));
            assert_eq!(
                reaches,
                pod.labels.contains_key(schema::label::USES_STORE),
                "{}: {}",
                build.name,
                pod.name
            );
        }
    }
    assert!(seen > 5, "only {seen} pods were looked at");
}

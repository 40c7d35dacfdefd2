//! Who may come from beyond the installation, and who may go there: all ways in and out that the policies of a build leave open.

use std::collections::BTreeSet;

use manifests::object::{list_of, text};
use serde_json::Value;

use crate::{
    Build, builds,
    network::{API, NAMESPACE, Pod, TO_THE_API, is_closed, pods, rules},
};

/// The installation's own namespaces; between their pods are the arrows of `network`.
const HOMES: [&str; 2] = ["irmgard", "irmgard-fluentd"];

/// Where names are asked for: the cluster's DNS, and NodeLocal DNSCache.
const DNS: [&str; 2] = ["kube-system", "169.254.20.10/32"];

/// Who else may come: from which namespace and its pods' label `app.kubernetes.io/name`, port. Metrics, but for the first.
const FROM_OUTSIDE: &[(&str, &str, u64)] = &[
    ("irmgard", "ingress-nginx", 8080),
    ("irmgard", "monitoring prometheus", 9090),
    ("anonymizer", "monitoring prometheus", 9090),
    ("postgres", "monitoring prometheus", 8008),
    ("rabbitmq", "monitoring prometheus", 15692),
    ("minio", "monitoring prometheus", 9000),
    ("fluentd", "monitoring prometheus", 24231),
];

/// What a rule leads to or from beyond the installation's own namespaces, in words, each with a port; `all` without one.
fn outside(rule: &Value, side: &str) -> BTreeSet<(String, String)> {
    let peers = list_of(&rule[side]);
    let mut who = BTreeSet::new();
    if peers.is_empty() {
        who.insert("anywhere".to_owned());
    }
    for peer in peers {
        let namespace = &peer["namespaceSelector"];
        let name = text(&namespace["matchLabels"][NAMESPACE]);
        if !peer["ipBlock"].is_null() {
            who.insert(text(&peer["ipBlock"]["cidr"]).to_owned());
        } else if !namespace.is_null() && name.is_empty() {
            who.insert(format!("any namespace {namespace}"));
        } else if !namespace.is_null() && !HOMES.contains(&name) {
            let pods = text(&peer["podSelector"]["matchLabels"][schema::label::NAME]);
            who.insert(format!("{name} {pods}").trim_end().to_owned());
        }
    }
    let mut ports: BTreeSet<String> = list_of(&rule["ports"])
        .iter()
        .map(|port| {
            if port["endPort"].is_null() {
                port["port"].to_string()
            } else {
                port.to_string()
            }
        })
        .collect();
    if ports.is_empty() {
        ports.insert("all".to_owned());
    }
    let pairs = |one: &String| -> Vec<_> { ports.iter().map(|port| (one.clone(), port.clone())).collect() };
    who.iter().flat_map(pairs).collect()
}

/// What the rules of a direction allow a pod beyond the installation.
fn beyond<'a>(build: &'a Build, direction: &str, side: &str) -> Vec<(Pod<'a>, BTreeSet<(String, String)>)> {
    let of = |pod: Pod<'a>| {
        let rules = rules(build, &pod, direction).unwrap();
        let found = rules.iter().flat_map(|rule| outside(rule, side)).collect();
        (pod, found)
    };
    pods(build).into_iter().map(of).collect()
}

fn pairs<'a>(of: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeSet<(String, String)> {
    of.into_iter()
        .map(|(who, port)| (who.to_owned(), port.to_string()))
        .collect()
}

/// Beyond the installation's own pods the ingress controller and what collects metrics, and nobody else.
#[test]
fn who_comes_from_outside_is_named() {
    let Some(builds) = builds("ways in from outside") else {
        return;
    };
    let mut seen = 0;
    let closed = builds.iter().filter(|build| is_closed(build));
    // Its ports on the nodes are for the programs of e2e.
    for build in closed.filter(|build| build.name != "overlay e2e") {
        for (pod, found) in beyond(build, "Ingress", "from") {
            seen += found.len();
            let wanted = FROM_OUTSIDE.iter().filter(|(to, ..)| *to == pod.name);
            let wanted = pairs(wanted.map(|(_, from, port)| (*from, *port)));
            assert_eq!(found, wanted, "{}: {}", build.name, pod.name);
        }
    }
    assert!(seen > 20, "only {seen} ways in were looked at");
}

/// All ask for names, some the API server; another S3 is out of the cluster, and so is where spans go. Nobody else leaves.
#[test]
fn who_leaves_is_named() {
    let Some(builds) = builds("ways out") else {
        return;
    };
    let mut seen = 0;
    for build in builds.iter().filter(|build| is_closed(build)) {
        let another_store = build.name.contains("external-s3");
        for (pod, found) in beyond(build, "Egress", "to") {
            seen += found.len();
            let mut wanted = pairs(DNS.map(|who| (who, 53)));
            let mut anywhere =
                |ports: &[u64]| wanted.extend(pairs(ports.iter().map(|port| ("anywhere", *port))));
            if TO_THE_API.contains(&pod.name) {
                anywhere(&API);
            }
            if another_store && pod.labels.contains_key(schema::label::USES_STORE) {
                anywhere(&[443]);
            }
            if pod.name == "otel-collector" {
                anywhere(&[53, 443, 4317]);
            }
            assert_eq!(found, wanted, "{}: {}", build.name, pod.name);
        }
    }
    assert!(seen > 100, "only {seen} ways out were looked at");
}

//! Traffic that the policies of a build allow from and to the outside of the installation.

use std::collections::BTreeSet;

use manifests::{
    network_policy::{Direction, NAMESPACE_LABEL, Network, NetworkPod},
    object::{list_of, text},
};
use serde_json::Value;

use crate::{
    builds,
    network::{API_CLIENTS, API_PORTS, network},
};

/// A peer outside, in words, and a port.
type ExternalPeer = (String, String);

/// The installation's namespaces. `network` checks the connections between their pods.
const NAMESPACES: [&str; 2] = ["irmgard", "irmgard-fluentd"];

/// The cluster's DNS, and NodeLocal DNSCache.
const DNS: [&str; 2] = ["kube-system", "169.254.20.10/32"];

/// Expected clients: pod, the client's namespace with its pods' label `app.kubernetes.io/name`, port. All but the first read
/// metrics.
const CLIENTS: &[(&str, &str, u64)] = &[
    ("irmgard", "ingress-nginx", 8080),
    ("irmgard", "monitoring prometheus", 9090),
    ("anonymizer", "monitoring prometheus", 9090),
    ("postgres", "monitoring prometheus", 8008),
    ("rabbitmq", "monitoring prometheus", 15692),
    ("minio", "monitoring prometheus", 9000),
    ("fluentd", "monitoring prometheus", 24231),
];

/// The peers of a rule outside of the installation's namespaces, each with a port; `all` without one.
fn external_peers(rule: &Value, direction: Direction) -> BTreeSet<ExternalPeer> {
    let peers = list_of(&rule[direction.peers()]);
    let mut names = BTreeSet::new();
    if peers.is_empty() {
        names.insert("anywhere".to_owned());
    }
    for peer in peers {
        let namespace = &peer["namespaceSelector"];
        let name = text(&namespace["matchLabels"][NAMESPACE_LABEL]);
        if !peer["ipBlock"].is_null() {
            names.insert(text(&peer["ipBlock"]["cidr"]).to_owned());
        } else if !namespace.is_null() && name.is_empty() {
            names.insert(format!("any namespace {namespace}"));
        } else if !namespace.is_null() && !NAMESPACES.contains(&name) {
            let pods = text(&peer["podSelector"]["matchLabels"][schema::label::NAME]);
            names.insert(format!("{name} {pods}").trim_end().to_owned());
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
    let with_ports =
        |name: &String| -> Vec<_> { ports.iter().map(|port| (name.clone(), port.clone())).collect() };
    names.iter().flat_map(with_ports).collect()
}

/// The external peers that the policies allow each pod.
fn allowed<'n>(
    network: &'n Network<'_>,
    direction: Direction,
) -> Vec<(&'n NetworkPod<'n>, BTreeSet<ExternalPeer>)> {
    let peers = |pod| {
        let rules = network.rules(pod, direction).unwrap();
        let peers = rules
            .iter()
            .flat_map(|rule| external_peers(rule, direction))
            .collect();
        (pod, peers)
    };
    network.pods.iter().map(peers).collect()
}

fn peers<'a>(expected: impl IntoIterator<Item = (&'a str, u64)>) -> BTreeSet<ExternalPeer> {
    expected
        .into_iter()
        .map(|(name, port)| (name.to_owned(), port.to_string()))
        .collect()
}

/// Only the ingress controller and the collector of metrics connect from outside.
#[test]
fn external_clients_are_the_expected_ones() {
    let Some(builds) = builds("traffic from outside") else {
        return;
    };
    let mut checked = 0;
    // The ports of e2e on the nodes are for its programs.
    for build in builds.iter().filter(|build| build.name != "overlay e2e") {
        let network = network(build);
        if !network.denies_by_default() {
            continue;
        }
        for (pod, found) in allowed(&network, Direction::Ingress) {
            checked += found.len();
            let expected = CLIENTS.iter().filter(|(to, ..)| *to == pod.name);
            let expected = peers(expected.map(|(_, from, port)| (*from, *port)));
            assert_eq!(found, expected, "{}: {}", build.name, pod.name);
        }
    }
    assert!(checked > 20, "only {checked} clients were checked");
}

/// All pods use DNS, some the API server. An external S3 is outside of the cluster, and so are the receivers of spans.
#[test]
fn external_servers_are_the_expected_ones() {
    let Some(builds) = builds("traffic to the outside") else {
        return;
    };
    let mut checked = 0;
    for build in &builds {
        let network = network(build);
        if !network.denies_by_default() {
            continue;
        }
        let has_external_store = build.name.contains("external-s3");
        for (pod, found) in allowed(&network, Direction::Egress) {
            checked += found.len();
            let mut expected = peers(DNS.map(|server| (server, 53)));
            let mut anywhere =
                |ports: &[u64]| expected.extend(peers(ports.iter().map(|port| ("anywhere", *port))));
            if API_CLIENTS.contains(&pod.name) {
                anywhere(&API_PORTS);
            }
            if has_external_store && pod.labels.contains_key(schema::label::USES_STORE) {
                anywhere(&[443]);
            }
            if pod.name == "otel-collector" {
                anywhere(&[53, 443, 4317]);
            }
            assert_eq!(found, expected, "{}: {}", build.name, pod.name);
        }
    }
    assert!(checked > 100, "only {checked} servers were checked");
}

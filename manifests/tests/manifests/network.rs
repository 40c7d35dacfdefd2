//! The NetworkPolicies of a build together allow exactly the connections that ARCHITECTURE.md draws.

use std::collections::BTreeSet;

use manifests::{
    Object, Tree, environment,
    network_policy::{Direction, Network, NetworkPod, PodConnection, allows_peer, allows_port, last_port},
    object::{Labels, labels, list_of, selects},
};

use crate::{Build, assert_no_violations, builds};

/// From, to, port: all connections between pods.
const CONNECTIONS: &[(&str, &str, u64)] = &[
    ("irmgard", "postgres", 5432),
    ("irmgard", "rabbitmq", 5672),
    ("irmgard", "minio", 9000),
    ("irmgard", "rabbitmq", 5671),
    ("irmgard", "otel-collector", 4317),
    ("anonymizer", "rabbitmq", 5672),
    ("anonymizer", "rabbitmq", 5671),
    ("anonymizer", "otel-collector", 4317),
    ("anonymizer", "minio", 9000),
    ("operator-shell", "postgres", 5432),
    ("operator-shell", "minio", 9000),
    ("operator-shell", "otel-collector", 4317),
    ("irmgard-sweep", "postgres", 5432),
    ("irmgard-sweep", "minio", 9000),
    ("irmgard-sweep", "otel-collector", 4317),
    ("irmgard-migrate", "postgres", 5432),
    ("minio-setup", "minio", 9000),
    ("postgres", "postgres", 5432),
    ("postgres", "postgres", 8008),
    ("rabbitmq", "rabbitmq", 4369),
    ("rabbitmq", "rabbitmq", 25672),
    // rabbitmqctl in a pod: the nodes send it what it lists.
    ("rabbitmq", "rabbitmq", 35672),
    ("rabbitmq", "rabbitmq", 35673),
    ("rabbitmq", "rabbitmq", 35674),
    ("rabbitmq", "rabbitmq", 35675),
    ("rabbitmq", "rabbitmq", 35676),
    ("rabbitmq", "rabbitmq", 35677),
    ("rabbitmq", "rabbitmq", 35678),
    ("rabbitmq", "rabbitmq", 35679),
    ("rabbitmq", "rabbitmq", 35680),
    ("rabbitmq", "rabbitmq", 35681),
    ("rabbitmq", "rabbitmq", 35682),
    ("opensearch", "opensearch", 9200),
    ("opensearch", "opensearch", 9300),
    ("fluentd", "opensearch", 9200),
    ("dashboards", "opensearch", 9200),
    ("dashboards-import", "dashboards", 5601),
    ("logq-bootstrap", "opensearch", 9200),
    ("logq-retain", "opensearch", 9200),
];

/// The pods that may connect to the Kubernetes API.
pub const API_CLIENTS: [&str; 4] = ["fluentd", "postgres", "postgres-settings", "rabbitmq"];

/// Ports on which only the API server listens.
pub const API_PORTS: [u64; 4] = [443, 6443, 8443, 16443];

pub fn network(build: &Build) -> Network<'_> {
    Network::new(&build.objects).unwrap()
}

/// The connections between the pods that a build has, at the ports on which they listen.
fn expected_connections(network: &Network<'_>) -> BTreeSet<PodConnection> {
    let has = |name: &str, port: Option<u64>| {
        let mut pods = network.pods.iter().filter(|pod| pod.name == name);
        pods.any(|pod| port.is_none_or(|port| pod.ports.contains(&port)))
    };
    CONNECTIONS
        .iter()
        .filter(|(from, to, port)| has(from, None) && has(to, Some(*port)))
        .map(|(from, to, port)| ((*from).to_owned(), (*to).to_owned(), *port))
        .collect()
}

/// The component network-policies allows these connections and no others. A build without it denies none of them.
#[test]
fn pods_use_only_the_expected_connections() {
    let Some(builds) = builds("network policies") else {
        return;
    };
    let (mut denying, mut violations) = (0, Vec::new());
    for build in &builds {
        let network = network(build);
        let (expected, allowed) = (expected_connections(&network), network.allowed_connections());
        let denied = expected.difference(&allowed);
        violations.extend(denied.map(|connection| format!("{}: denied: {connection:?}", build.name)));
        if network.denies_by_default() {
            denying += 1;
            let unexpected = allowed.difference(&expected);
            violations
                .extend(unexpected.map(|connection| format!("{}: allowed: {connection:?}", build.name)));
        }
    }
    assert!(denying > 5, "only {denying} builds have network-policies");
    assert_no_violations(violations);
}

/// The Service's name and port in a variable with an address or a host name. Without a port, the variable means all ports.
fn service_address(value: &str) -> (&str, Option<u64>) {
    let address = value.split_once("://").map_or(value, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or_default();
    match address.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (address, None),
    }
}

/// A program may reach every address in its variables, at the port where the pods behind it listen.
#[test]
fn programs_reach_the_addresses_in_their_variables() {
    let Some(builds) = builds("connections to the addresses in variables") else {
        return;
    };
    let (mut checked, mut violations) = (0, Vec::new());
    for build in &builds {
        let network = network(build);
        let allowed = network.allowed_connections();
        let services: Vec<&Object> = build
            .objects
            .iter()
            .filter(|object| object.kind() == "Service")
            .collect();
        for workload in &build.objects {
            // A ConfigMap that several workloads share names the broker to those that do not use it, too.
            let uses_queue = workload.pod_labels().contains_key(schema::label::USES_QUEUE);
            for container in workload.containers() {
                let variables = environment::variables(container, workload, &build.objects).unwrap();
                for (variable, value) in variables {
                    let is_address = ["_HOST", "_ENDPOINT", "_URL"]
                        .iter()
                        .any(|suffix| variable.ends_with(suffix));
                    if !is_address || variable == "RABBITMQ_HOST" && !uses_queue {
                        continue;
                    }
                    let (name, port) = service_address(&value);
                    let host = name.split('.').next().unwrap_or_default();
                    let Some(service) = services.iter().find(|service| service.name() == host) else {
                        continue;
                    };
                    for (pod, port) in endpoints(service, port, build, &network) {
                        checked += 1;
                        if !allowed.contains(&(workload.name().to_owned(), pod.to_owned(), port)) {
                            violations.push(format!(
                                "{}: {workload}: {variable} names {pod}:{port}, which is denied",
                                build.name
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 50, "only {checked} addresses were checked");
    assert_no_violations(violations);
}

/// The pods behind a Service, and where they listen for clients of this port of the Service, or of any port.
fn endpoints<'a>(
    service: &Object,
    port: Option<u64>,
    build: &Build,
    network: &Network<'a>,
) -> Vec<(&'a str, u64)> {
    let selector = labels(service.at("/spec/selector"));
    let mut endpoints = Vec::new();
    let pods = network.pods.iter();
    for pod in pods.filter(|pod| pod.namespace == service.namespace()) {
        // Patroni gives the role to a running pod.
        let mut pod_labels = pod.labels.clone();
        pod_labels.extend(selector.get("role").map(|role| ("role".to_owned(), role.clone())));
        if !selects(&selector, &pod_labels) {
            continue;
        }
        let workload = build.objects.iter().find(|object| {
            object.template().is_some() && object.name() == pod.name && object.namespace() == pod.namespace
        });
        let containers = workload.map(Object::containers).unwrap_or_default();
        let container_ports: Vec<_> = containers
            .iter()
            .flat_map(|container| list_of(&container["ports"]))
            .collect();
        for service_port in list_of(service.at("/spec/ports")) {
            if port.is_some_and(|port| service_port["port"] != port) {
                continue;
            }
            let target = &service_port["targetPort"];
            let container_port = container_ports
                .iter()
                .find(|port| port["name"] == *target || port["containerPort"] == *target);
            match container_port.and_then(|port| port["containerPort"].as_u64()) {
                Some(port) => endpoints.push((pod.name, port)),
                None => panic!(
                    "{}: {service} names no port of {}: {target}",
                    build.name, pod.name
                ),
            }
        }
    }
    endpoints
}

/// An open port without a listener is a mistake, or an opening for another program.
#[test]
fn every_open_port_has_a_listener() {
    let Some(builds) = builds("open ports of the policies") else {
        return;
    };
    let (mut checked, mut violations) = (0, Vec::new());
    for build in &builds {
        let network = network(build);
        for pod in network.pods.iter().filter(|_| network.denies_by_default()) {
            let rules = network.rules(pod, Direction::Ingress).unwrap_or_default();
            for allowed in rules.into_iter().flat_map(|rule| list_of(&rule["ports"])) {
                let Some(first) = allowed["port"].as_u64() else {
                    continue;
                };
                for port in first..=last_port(allowed, first) {
                    checked += 1;
                    // RabbitMQ listens on one of these two: with TLS, or without.
                    let is_alternative = matches!(port, 5671 | 5672) && pod.name == "rabbitmq";
                    if !pod.ports.contains(&port) && !is_alternative {
                        violations.push(format!(
                            "{}: {}: {port} is open without a listener",
                            build.name, pod.name
                        ));
                    }
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} ports were checked");
    assert_no_violations(violations);
}

/// A rule without ports allows all of them. The rules of the other side may hide that.
#[test]
fn every_rule_names_its_ports() {
    let Some(builds) = builds("ports of the policies") else {
        return;
    };
    let (mut checked, mut violations) = (0, Vec::new());
    for build in &builds {
        for policy in network(build).policies {
            for rule in ["/spec/ingress", "/spec/egress"]
                .iter()
                .flat_map(|list| list_of(policy.at(list)))
            {
                checked += 1;
                let ports = list_of(&rule["ports"]);
                if ports.is_empty() || !ports.iter().all(|port| port["port"].is_u64()) {
                    violations.push(format!("{}: {policy}: {rule}", build.name));
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} rules were checked");
    assert_no_violations(violations);
}

#[test]
fn only_its_clients_reach_the_api_server() {
    let Some(builds) = builds("connections to the API server") else {
        return;
    };
    for build in &builds {
        let network = network(build);
        for pod in &network.pods {
            let is_allowed = network.rules(pod, Direction::Egress).map(|rules| {
                rules
                    .iter()
                    .any(|rule| rule["to"].is_null() && API_PORTS.iter().all(|port| allows_port(rule, *port)))
            });
            // Without policies every pod does.
            if network.denies_by_default() || is_allowed.is_some() {
                let is_client = API_CLIENTS.contains(&pod.name);
                assert_eq!(
                    is_allowed.unwrap_or(true),
                    is_client,
                    "{}: {}",
                    build.name,
                    pod.name
                );
            }
        }
    }
}

#[test]
fn every_pod_reaches_dns() {
    let Some(builds) = builds("connections to DNS") else {
        return;
    };
    let dns = NetworkPod {
        name: "DNS",
        namespace: "kube-system",
        labels: Labels::new(),
        ports: vec![53],
    };
    for build in &builds {
        let network = network(build);
        for pod in &network.pods {
            let reaches = network.rules(pod, Direction::Egress).is_none_or(|rules| {
                rules.iter().any(|rule| {
                    let names_dns =
                        rule["to"].is_null() || allows_peer(rule, Direction::Egress, pod.namespace, &dns);
                    allows_port(rule, 53) && names_dns
                })
            });
            assert!(reaches, "{}: {} does not reach DNS", build.name, pod.name);
        }
    }
}

/// In the other order, the policies would still name MinIO, which the build does not have.
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

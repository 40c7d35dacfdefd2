//! Who may speak to whom, as the policies of a build say it together, is what ARCHITECTURE.md draws.

use std::collections::BTreeSet;

use manifests::{
    Object, Tree, environment,
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
    ("desk", "otel-collector", 4317),
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
                .flat_map(|container| listening(container, workload, build))
                .collect(),
        })
        .collect()
}

/// The ports that a container names, and those of rabbitmqctl, which no port of a container can name: it is run by hand or by a hook.
fn listening(container: &Value, workload: &Object, build: &Build) -> Vec<u64> {
    let variables = environment::variables(container, workload, &build.objects).unwrap();
    let bound = |name: &str| variables.get(name).and_then(|value| value.parse().ok());
    let named = list_of(&container["ports"])
        .iter()
        .filter_map(|port| port["containerPort"].as_u64());
    let by_hand = bound("RABBITMQ_CTL_DIST_PORT_MIN")
        .zip(bound("RABBITMQ_CTL_DIST_PORT_MAX"))
        .map(|(first, last)| first..=last);
    named.chain(by_hand.into_iter().flatten()).collect()
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

/// What a variable leads to, of an address or a host name: name and port of a Service. Where it names no port, all ports of the
/// Service are meant.
fn dialled(value: &str) -> (&str, Option<u64>) {
    let address = value.split_once("://").map_or(value, |(_, rest)| rest);
    let address = address.split('/').next().unwrap_or_default();
    match address.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (address, None),
    }
}

/// Every address that a program is given in its variables is one that it may reach, at the port where the pods behind it listen.
#[test]
fn what_programs_are_told_to_reach_they_reach() {
    let Some(builds) = builds("ways to what the variables name") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for build in &builds {
        let (allowed, pods) = (arrows(build), pods(build));
        let services: Vec<&Object> = build
            .objects
            .iter()
            .filter(|object| object.kind() == "Service")
            .collect();
        for workload in &build.objects {
            for container in workload.containers() {
                for (variable, value) in environment::variables(container, workload, &build.objects).unwrap()
                {
                    let is_address = ["_HOST", "_ENDPOINT", "_URL"]
                        .iter()
                        .any(|end| variable.ends_with(end));
                    // A ConfigMap that several share names the broker to those who do not use it, too.
                    let uses_queue = workload.pod_labels().contains_key(schema::label::USES_QUEUE);
                    if !is_address || variable == "RABBITMQ_HOST" && !uses_queue {
                        continue;
                    }
                    let (name, port) = dialled(&value);
                    let host = name.split('.').next().unwrap_or_default();
                    let Some(service) = services.iter().find(|service| service.name() == host) else {
                        continue;
                    };
                    for (behind, at) in behind(service, port, build, &pods) {
                        seen += 1;
                        if !allowed.contains(&(workload.name().to_owned(), behind.to_owned(), at)) {
                            wrong.push(format!(
                                "{}: {workload}: {variable} leads to {behind}:{at}, which is not allowed",
                                build.name
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 50, "only {seen} addresses were looked at");
    none(wrong);
}

/// The pods behind a Service, and where they listen for those who come to this port of it, or to any.
fn behind<'a>(service: &Object, port: Option<u64>, build: &Build, pods: &[Pod<'a>]) -> Vec<(&'a str, u64)> {
    let selector = labels(service.at("/spec/selector"));
    let mut found = Vec::new();
    for pod in pods.iter().filter(|pod| pod.namespace == service.namespace()) {
        // Patroni gives the role to a pod that runs.
        let mut of = pod.labels.clone();
        of.extend(selector.get("role").map(|role| ("role".to_owned(), role.clone())));
        if !selects(&selector, &of) {
            continue;
        }
        let workload = build.objects.iter().find(|object| {
            object.template().is_some() && object.name() == pod.name && object.namespace() == pod.namespace
        });
        let containers = workload.map(Object::containers).unwrap_or_default();
        for wanted in list_of(service.at("/spec/ports")) {
            if port.is_some_and(|port| wanted["port"] != port) {
                continue;
            }
            let target = containers
                .iter()
                .flat_map(|container| list_of(&container["ports"]))
                .find(|known| {
                    known["name"] == wanted["targetPort"] || known["containerPort"] == wanted["targetPort"]
                });
            match target.and_then(|known| known["containerPort"].as_u64()) {
                Some(at) => found.push((pod.name, at)),
                None => panic!(
                    "{}: {service} leads to no port of {}: {wanted}",
                    build.name, pod.name
                ),
            }
        }
    }
    found
}

/// A port that is open and that nobody listens on is a mistake, or a way for somebody else.
#[test]
fn what_is_allowed_is_listened_on() {
    let Some(builds) = builds("open ports of the policies") else {
        return;
    };
    let (mut seen, mut wrong) = (0, Vec::new());
    for build in builds.iter().filter(|build| is_closed(build)) {
        for pod in pods(build) {
            for rule in rules(build, &pod, "Ingress").unwrap_or_default() {
                for allowed in list_of(&rule["ports"]) {
                    let Some(first) = allowed["port"].as_u64() else {
                        continue;
                    };
                    for port in first..=allowed["endPort"].as_u64().unwrap_or(first) {
                        seen += 1;
                        // Of RabbitMQ's two one is with TLS, and only one is there.
                        let other = matches!(port, 5671 | 5672) && pod.name == "rabbitmq";
                        if !pod.ports.contains(&port) && !other {
                            wrong.push(format!(
                                "{}: {}: {port} is open, and nothing listens there",
                                build.name, pod.name
                            ));
                        }
                    }
                }
            }
        }
    }
    assert!(seen > 100, "only {seen} ports were looked at");
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

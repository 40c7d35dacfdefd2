//! Evaluates the NetworkPolicies of a build: which pods may connect to which, and at which ports.

use std::collections::BTreeSet;

use anyhow::Result;
use serde_json::Value;

use crate::{
    Object, environment,
    object::{Labels, labels, list_of, selects, text},
};

/// The label that every namespace has.
pub const NAMESPACE_LABEL: &str = "kubernetes.io/metadata.name";

/// A pod as policies see it.
#[derive(Debug)]
pub struct NetworkPod<'a> {
    pub name: &'a str,
    pub namespace: &'a str,
    pub labels: Labels,
    /// The ports that it listens on.
    pub ports: Vec<u64>,
}

/// The side of a connection that a rule belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    const fn policy_type(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    const fn rules(self) -> &'static str {
        match self {
            Self::Ingress => "/spec/ingress",
            Self::Egress => "/spec/egress",
        }
    }

    /// The member of a rule that lists its peers.
    #[must_use]
    pub const fn peers(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }
}

/// A connection: the names of both pods, and the port.
pub type PodConnection = (String, String, u64);

/// The pods and policies of a build.
#[derive(Debug)]
pub struct Network<'a> {
    pub pods: Vec<NetworkPod<'a>>,
    pub policies: Vec<&'a Object>,
}

impl<'a> Network<'a> {
    /// # Errors
    /// When a container names a ConfigMap that does not exist.
    pub fn new(objects: &'a [Object]) -> Result<Self> {
        let workloads = objects.iter().filter(|object| object.template().is_some());
        let pods = workloads.map(|workload| {
            let containers = list_of(&workload.pod()["containers"]).iter();
            let ports: Result<Vec<_>> = containers
                .map(|container| listening_ports(container, workload, objects))
                .collect();
            Ok(NetworkPod {
                name: workload.name(),
                namespace: workload.namespace(),
                labels: workload.pod_labels(),
                ports: ports?.concat(),
            })
        });
        Ok(Self {
            pods: pods.collect::<Result<_>>()?,
            policies: objects
                .iter()
                .filter(|object| object.kind() == "NetworkPolicy")
                .collect(),
        })
    }

    /// Whether connections that no policy allows are denied.
    #[must_use]
    pub fn denies_by_default(&self) -> bool {
        self.policies.iter().any(|policy| policy.name() == "deny")
    }

    /// The rules for a pod. `None` when no policy selects it, so that everything is allowed.
    #[must_use]
    pub fn rules(&self, pod: &NetworkPod<'_>, direction: Direction) -> Option<Vec<&'a Value>> {
        let applies = |policy: &&&Object| {
            let types = list_of(policy.at("/spec/policyTypes"));
            policy.namespace() == pod.namespace
                && types.iter().any(|kind| kind == direction.policy_type())
                && selector_matches(policy.at("/spec/podSelector"), &pod.labels)
        };
        let policies: Vec<&&Object> = self.policies.iter().filter(applies).collect();
        (!policies.is_empty()).then(|| {
            let rules = policies
                .iter()
                .map(|policy| list_of(policy.at(direction.rules())));
            rules.flatten().collect()
        })
    }

    /// The connections between pods that the policies allow.
    #[must_use]
    pub fn allowed_connections(&self) -> BTreeSet<PodConnection> {
        let mut connections = BTreeSet::new();
        for from in &self.pods {
            let egress = self.rules(from, Direction::Egress);
            for to in &self.pods {
                let ingress = self.rules(to, Direction::Ingress);
                for port in &to.ports {
                    let allows = |rules: &Option<Vec<&Value>>, direction, this: &NetworkPod<'_>, peer| {
                        rules.as_ref().is_none_or(|rules| {
                            rules.iter().any(|rule| {
                                allows_peer(rule, direction, this.namespace, peer) && allows_port(rule, *port)
                            })
                        })
                    };
                    if allows(&egress, Direction::Egress, from, to)
                        && allows(&ingress, Direction::Ingress, to, from)
                    {
                        connections.insert((from.name.to_owned(), to.name.to_owned(), *port));
                    }
                }
            }
        }
        connections
    }
}

/// The ports that a container names, and those of rabbitmqctl. A person or a hook runs rabbitmqctl, so no container port names
/// them.
fn listening_ports(container: &Value, workload: &Object, objects: &[Object]) -> Result<Vec<u64>> {
    let variables = environment::variables(container, workload, objects)?;
    let bound = |name: &str| variables.get(name).and_then(|value| value.parse().ok());
    let named = list_of(&container["ports"])
        .iter()
        .filter_map(|port| port["containerPort"].as_u64());
    let rabbitmqctl = bound("RABBITMQ_CTL_DIST_PORT_MIN")
        .zip(bound("RABBITMQ_CTL_DIST_PORT_MAX"))
        .map(|(first, last)| first..=last);
    Ok(named.chain(rabbitmqctl.into_iter().flatten()).collect())
}

/// Whether a selector, with labels and expressions, matches these labels.
#[expect(clippy::panic, reason = "this crate is for tests only")]
fn selector_matches(selector: &Value, object: &Labels) -> bool {
    let expressions = list_of(&selector["matchExpressions"]);
    selects(&labels(&selector["matchLabels"]), object)
        && expressions.iter().all(|expression| {
            let value = object.get(text(&expression["key"]));
            let is_listed = value.is_some_and(|value| {
                list_of(&expression["values"])
                    .iter()
                    .any(|listed| listed == value)
            });
            match text(&expression["operator"]) {
                "In" => is_listed,
                "NotIn" => !is_listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("Kubernetes has no operator {other:?}"),
            }
        })
}

/// Whether a rule of a policy in `namespace` names this pod. A rule without peers, or with a block of addresses, concerns peers
/// outside.
#[must_use]
pub fn allows_peer(rule: &Value, direction: Direction, namespace: &str, pod: &NetworkPod<'_>) -> bool {
    list_of(&rule[direction.peers()]).iter().any(|peer| {
        let is_namespace = match peer.get("namespaceSelector") {
            Some(selector) => {
                let labels = Labels::from([(NAMESPACE_LABEL.to_owned(), pod.namespace.to_owned())]);
                selector_matches(selector, &labels)
            }
            None => peer["ipBlock"].is_null() && namespace == pod.namespace,
        };
        is_namespace && selector_matches(&peer["podSelector"], &pod.labels)
    })
}

/// Whether a rule allows a port. A rule without ports allows all, and so does an entry without a number.
#[must_use]
pub fn allows_port(rule: &Value, port: u64) -> bool {
    let ports = list_of(&rule["ports"]);
    ports.is_empty()
        || ports.iter().any(|allowed| {
            allowed["port"]
                .as_u64()
                .is_none_or(|first| (first..=last_port(allowed, first)).contains(&port))
        })
}

/// The end of a port range.
#[must_use]
pub fn last_port(allowed: &Value, first: u64) -> u64 {
    allowed["endPort"].as_u64().unwrap_or(first)
}

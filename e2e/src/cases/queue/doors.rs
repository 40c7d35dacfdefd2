//! The queues that are measured, and a port of the nodes for each pod of the broker: who comes by the service of all is sent to any.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use chassis::broker::{BrokerSettings, Publisher};
use contract::queues::Queues;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{super::rabbitmq, speed::At, traffic::Lane};
use crate::cluster::{Cluster, NAMESPACE, Places};

/// Queues that are measured.
pub const QUEUES: usize = 6;
/// Queues that a program declares when it connects.
const OF_A_PROGRAM: usize = 4;
/// How long the queues may need to be there.
const DECLARED: Duration = Duration::from_secs(60);

/// The broker's nodes, each by itself, and the measured queues' leaders.
pub struct Doors {
    broker: BrokerSettings,
    nodes: Vec<(String, u16)>,
    /// The node that leads each queue.
    leaders: Vec<usize>,
}

impl Doors {
    /// Makes the ports and the queues, and spreads the queues' leaders over so many nodes.
    ///
    /// # Errors
    /// When the broker is not reached.
    pub async fn open(cluster: &Cluster, places: &Places, count: usize) -> Result<Self> {
        let services: Vec<_> = (0..count).map(service).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": services });
        let apply = ["apply", "--filename", "-"];
        cluster.kubectl().feed(&apply, Some(&list.to_string())).await?;
        let mut nodes = Vec::new();
        for pod in 0..count {
            nodes.push(cluster.outside(&outside(pod)).await?);
        }
        let mut doors = Self {
            broker: places.broker.clone(),
            nodes,
            leaders: Vec::new(),
        };
        for queue in [0, OF_A_PROGRAM] {
            let publisher = Publisher::start(doors.settings(queue, None));
            let declared = timeout(DECLARED, publisher.connected()).await;
            declared.context("the queues that are measured cannot be declared")?;
            publisher.close().await;
        }
        let pattern = format!("{}.*", prefix(count));
        let spread = [
            "rabbitmq-queues",
            "rebalance",
            "quorum",
            "--queue-pattern",
            &pattern,
        ];
        rabbitmq::inside(cluster, 0, &spread).await?;
        doors.look(cluster).await?;
        Ok(doors)
    }

    /// How many nodes there are.
    #[must_use]
    pub const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Looks who leads now.
    ///
    /// # Errors
    /// When the broker does not say, or a queue has no leader.
    pub async fn look(&mut self, cluster: &Cluster) -> Result<()> {
        let queues = rabbitmq::queues(cluster).await?;
        self.leaders = (0..QUEUES)
            .map(|number| {
                let name = self.queue(number);
                let queue = queues.iter().find(|queue| queue.name == name);
                let leader = queue.and_then(|queue| queue.leader.strip_prefix("rabbitmq-")?.parse().ok());
                leader.with_context(|| format!("the queue {name} has no leader"))
            })
            .collect::<Result<_>>()?;
        ensure!(
            self.leaders.iter().all(|leader| *leader < self.nodes()),
            "a queue is led by a node that is none of {}: {:?}",
            self.nodes(),
            self.leaders
        );
        Ok(())
    }

    /// The node that leads a queue.
    #[must_use]
    pub fn leader(&self, queue: usize) -> usize {
        self.leaders[queue]
    }

    /// A queue's name.
    #[must_use]
    pub fn queue(&self, number: usize) -> String {
        format!("{}{number}", prefix(self.nodes()))
    }

    /// So many queues, by connections to their leaders or to others.
    #[must_use]
    pub fn lanes(&self, count: usize, at: At) -> Vec<Lane> {
        let lanes = (0..count).map(|number| {
            let node = match at {
                At::Leader => self.leader(number),
                At::Follower => (self.leader(number) + 1) % self.nodes(),
            };
            let settings = self.settings(number, Some(node));
            Lane {
                queue: self.queue(number),
                publisher: settings.clone(),
                consumer: settings,
            }
        });
        lanes.collect()
    }

    /// All queues, by connections as the programs have them: to any node that serves, and to another when it goes.
    #[must_use]
    pub fn lanes_by_the_service(&self) -> Vec<Lane> {
        let lanes = (0..QUEUES).map(|number| {
            let mut settings = self.settings(number, None);
            settings.connection_name = self.queue(number);
            Lane {
                queue: self.queue(number),
                publisher: settings.clone(),
                consumer: settings,
            }
        });
        lanes.collect()
    }

    /// For a program that has this queue among its own; at a node, or at any.
    fn settings(&self, queue: usize, node: Option<usize>) -> BrokerSettings {
        let mut settings = self.broker.clone();
        if let Some((host, port)) = node.map(|node| &self.nodes[node]) {
            settings.host.clone_from(host);
            settings.port = *port;
        }
        let first = queue / OF_A_PROGRAM * OF_A_PROGRAM;
        let name = |place: usize| self.queue((first + place) % QUEUES);
        settings.queues = Queues {
            jobs: name(0),
            results: name(1),
            dead: name(2),
            parked: name(3),
        };
        settings
    }
}

fn prefix(nodes: usize) -> String {
    format!("e2e-of-{nodes}-")
}

fn outside(pod: usize) -> String {
    format!("rabbitmq-{pod}-outside")
}

fn service(pod: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": outside(pod),
            "namespace": NAMESPACE,
            "labels": { "app.kubernetes.io/name": "rabbitmq" },
        },
        "spec": {
            "type": "NodePort",
            "selector": { "statefulset.kubernetes.io/pod-name": format!("rabbitmq-{pod}") },
            "ports": [{ "name": "amqp", "port": 5672, "targetPort": "amqp" }],
        },
    })
}

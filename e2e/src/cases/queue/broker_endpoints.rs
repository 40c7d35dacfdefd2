//! The measured queues, and a node port for each pod of the broker. The broker's common Service would connect to any pod.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use contract::queues::Queues;
use serde_json::{Value, json};
use service_runtime::broker::{BrokerSettings, Publisher};
use tokio::time::timeout;

use super::{super::rabbitmq, throughput::ConnectTo, traffic::Route};
use crate::cluster::{Cluster, Endpoints, NAMESPACE};

/// The number of measured queues.
pub const QUEUES: usize = 6;
/// The number of queues that a program declares when it connects.
const QUEUES_PER_PROGRAM: usize = 4;
/// How long the declaration of the queues may take.
const DECLARE_LIMIT: Duration = Duration::from_secs(60);

/// The endpoint of each node of the broker, and the leaders of the measured queues.
pub struct BrokerEndpoints {
    broker: BrokerSettings,
    nodes: Vec<(String, u16)>,
    /// The leader node of each queue.
    leaders: Vec<usize>,
}

impl BrokerEndpoints {
    /// Creates the node ports and the queues, and spreads the leaders over `count` nodes.
    pub async fn create(cluster: &Cluster, endpoints: &Endpoints, count: usize) -> Result<Self> {
        let services: Vec<_> = (0..count).map(service).collect();
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": services });
        let apply = ["apply", "--filename", "-"];
        cluster
            .kubectl()
            .run_with_input(&apply, Some(&list.to_string()))
            .await?;
        let mut nodes = Vec::new();
        for pod in 0..count {
            nodes.push(cluster.node_port(&service_name(pod)).await?);
        }
        let mut broker = Self {
            broker: endpoints.broker.clone(),
            nodes,
            leaders: Vec::new(),
        };
        for queue in [0, QUEUES_PER_PROGRAM] {
            let publisher = Publisher::start(broker.settings(queue, None));
            let declared = timeout(DECLARE_LIMIT, publisher.connected()).await;
            declared.context("cannot declare the measured queues")?;
            publisher.close().await;
        }
        let rebalance = format!(
            "rabbitmq-queues rebalance quorum --queue-pattern {}.*",
            prefix(count)
        );
        rabbitmq::exec(cluster, 0, &rebalance).await?;
        broker.refresh_leaders(cluster).await?;
        Ok(broker)
    }

    /// The number of nodes.
    pub const fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// Reads the current leaders.
    pub async fn refresh_leaders(&mut self, cluster: &Cluster) -> Result<()> {
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
            "a leader is not one of the {} nodes: {:?}",
            self.nodes(),
            self.leaders
        );
        Ok(())
    }

    /// The leader node of a queue.
    pub fn leader(&self, queue: usize) -> usize {
        self.leaders[queue]
    }

    /// The name of a queue.
    pub fn queue(&self, number: usize) -> String {
        format!("{}{number}", prefix(self.nodes()))
    }

    /// Routes to `count` queues, with connections to their leaders or to followers.
    pub fn routes(&self, count: usize, connect_to: ConnectTo) -> Vec<Route> {
        let routes = (0..count).map(|number| {
            let node = match connect_to {
                ConnectTo::Leader => self.leader(number),
                ConnectTo::Follower => (self.leader(number) + 1) % self.nodes(),
            };
            let settings = self.settings(number, Some(node));
            Route {
                queue: self.queue(number),
                publisher: settings.clone(),
                consumer: settings,
            }
        });
        routes.collect()
    }

    /// Routes to all queues through the Service, as our programs connect: to any ready node, and to another after its loss.
    pub fn routes_by_service(&self) -> Vec<Route> {
        let routes = (0..QUEUES).map(|number| {
            let mut settings = self.settings(number, None);
            settings.connection_name = self.queue(number);
            Route {
                queue: self.queue(number),
                publisher: settings.clone(),
                consumer: settings,
            }
        });
        routes.collect()
    }

    /// The settings of a program that declares this queue, for one node or for the Service.
    fn settings(&self, queue: usize, node: Option<usize>) -> BrokerSettings {
        let mut settings = self.broker.clone();
        if let Some((host, port)) = node.map(|node| &self.nodes[node]) {
            settings.host.clone_from(host);
            settings.port = *port;
        }
        let first = queue / QUEUES_PER_PROGRAM * QUEUES_PER_PROGRAM;
        let name = |offset: usize| self.queue((first + offset) % QUEUES);
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

fn service_name(pod: usize) -> String {
    format!("rabbitmq-{pod}-outside")
}

fn service(pod: usize) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": service_name(pod),
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

//! The state of the broker's nodes, queues and connections, from `rabbitmqctl` in a pod.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, Condition, NAMESPACE, Pod, wait_until};

/// Waits until every queue has `count` replicas and all are online.
pub async fn wait_for_replicas(cluster: &Cluster, count: usize, time_limit: Duration) -> Result<()> {
    wait_until(
        &format!("every queue has {count} online replicas"),
        time_limit,
        async || {
            let queues = queues(cluster).await?;
            ensure!(!queues.is_empty(), "there are no queues");
            let fewer: Vec<_> = queues
                .iter()
                .filter(|queue| queue.members != count || queue.online != count)
                .map(|queue| format!("{} has {}, {} online", queue.name, queue.members, queue.online))
                .collect();
            Ok(if fewer.is_empty() {
                Condition::Met(())
            } else {
                Condition::Unmet(fewer.join(", "))
            })
        },
    )
    .await
}

/// The state of a queue.
#[derive(Debug, PartialEq, Eq)]
pub struct Queue {
    pub name: String,
    pub messages: u64,
    /// The pod of the leader.
    pub leader: String,
    /// The number of replicas.
    pub members: usize,
    /// The number of online replicas.
    pub online: usize,
}

/// All queues, sorted by name.
pub async fn queues(cluster: &Cluster) -> Result<Vec<Queue>> {
    let command = "rabbitmqctl --quiet list_queues --formatter json name messages leader members online";
    parse_queues(&exec(cluster, 0, command).await?)
}

fn parse_queues(text: &str) -> Result<Vec<Queue>> {
    let list: Vec<Value> =
        serde_json::from_str(text).context("the output of rabbitmqctl list_queues is not JSON")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let mut queues: Vec<_> = list
        .iter()
        .map(|queue| Queue {
            name: text(&queue["name"]),
            messages: queue["messages"].as_u64().unwrap_or_default(),
            leader: pod_of_node(&text(&queue["leader"])),
            members: count(&queue["members"]),
            online: count(&queue["online"]),
        })
        .collect();
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(queues)
}

/// Runs a command, whose arguments contain no spaces, in a pod of the broker. Returns its output.
///
/// # Errors
/// When it fails; with its standard error.
pub async fn exec(cluster: &Cluster, pod: usize, command: &str) -> Result<String> {
    let words: Vec<&str> = command.split_whitespace().collect();
    cluster
        .exec(&format!("rabbitmq-{pod}"), "rabbitmq", &words, None)
        .await
}

/// The RabbitMQ node name of a pod.
pub fn node_name(pod: usize) -> String {
    format!("rabbit@rabbitmq-{pod}.rabbitmq-nodes.{NAMESPACE}")
}

/// The pod of a node: `rabbitmq-1` for `rabbit@rabbitmq-1.rabbitmq-nodes.irmgard`.
fn pod_of_node(node: &str) -> String {
    let host = node.trim_start_matches("rabbit@");
    host.split('.').next().unwrap_or_default().to_owned()
}

/// The pod of each connection, by the connection name that the client set.
pub async fn connections(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let command = "rabbitmqctl --quiet list_connections --formatter json name client_properties";
    let text = exec(cluster, 0, command).await?;
    parse_connections(&text, &cluster.pods("rabbitmq").await?)
}

fn parse_connections(text: &str, pods: &[Pod]) -> Result<BTreeMap<String, String>> {
    let list: Vec<Value> =
        serde_json::from_str(text).context("the output of rabbitmqctl list_connections is not JSON")?;
    let name_and_pod = |connection: &Value| {
        let properties = connection["client_properties"].as_array()?;
        let client_name = properties
            .iter()
            .find(|property| property[0] == "connection_name")?;
        // `10.0.0.1:40000 -> 10.0.0.2:5672`
        let (_, to) = connection["name"].as_str()?.split_once(" -> ")?;
        let (ip, _) = to.rsplit_once(':')?;
        let pod = pods.iter().find(|pod| pod.ip == ip)?;
        Some((client_name[2].as_str()?.to_owned(), pod.name.clone()))
    };
    Ok(list.iter().filter_map(name_and_pod).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_parsed_with_their_replicas() {
        let text = r#"[
            {"name":"images.dead","messages":0,"leader":"rabbit@rabbitmq-0.x","members":["a"],"online":["a"]}
            ,{"name":"images","messages":7,"leader":"rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","members":["a","b","c"],"online":["a","b"]}
        ]"#;
        let queues = parse_queues(text).unwrap();
        let images = Queue {
            name: "images".to_owned(),
            messages: 7,
            leader: "rabbitmq-1".to_owned(),
            members: 3,
            online: 2,
        };
        assert_eq!((&queues[0], queues.len()), (&images, 2));
        assert!(parse_queues("no").is_err());
    }

    #[test]
    fn connections_are_identified_by_the_clients_name() {
        let pod = Pod::from(&serde_json::json!({
            "metadata": { "name": "rabbitmq-2" },
            "status": { "podIP": "10.0.0.2" },
        }));
        let text = r#"[
            {"name":"10.0.0.1:40000 -> 10.0.0.2:5672","client_properties":[["product","longstr","lapin"],["connection_name","longstr","e2e publisher"]]}
            ,{"name":"10.0.0.1:40001 -> 10.0.0.3:5672","client_properties":[]}
        ]"#;
        let connections = parse_connections(text, &[pod]).unwrap();
        assert_eq!(
            connections,
            [("e2e publisher".to_owned(), "rabbitmq-2".to_owned())].into()
        );
    }
}

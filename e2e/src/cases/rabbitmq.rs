//! The broker's nodes and queues, as RabbitMQ's own programs tell of them in a pod.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, NAMESPACE, Pod, Seen, until};

/// Waits until every queue has so many copies, and all of them are there.
///
/// # Errors
/// When they are not in time.
pub async fn copies(cluster: &Cluster, count: usize, patience: Duration) -> Result<()> {
    until(&format!("every queue has {count} copies"), patience, async || {
        let queues = queues(cluster).await?;
        ensure!(!queues.is_empty(), "there are no queues");
        let fewer: Vec<_> = queues
            .iter()
            .filter(|queue| queue.members != count || queue.online != count)
            .map(|queue| format!("{} has {}, {} there", queue.name, queue.members, queue.online))
            .collect();
        Ok(if fewer.is_empty() {
            Seen::Yes(())
        } else {
            Seen::NotYet(fewer.join(", "))
        })
    })
    .await
}

/// A queue, as the broker tells of it.
#[derive(Debug, PartialEq, Eq)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// Messages in it.
    pub messages: u64,
    /// The pod whose copy leads.
    pub leader: String,
    /// How many copies it has.
    pub members: usize,
    /// How many of them are there.
    pub online: usize,
}

/// All queues, by name.
///
/// # Errors
/// When no answer comes from the first pod.
pub async fn queues(cluster: &Cluster) -> Result<Vec<Queue>> {
    let words = [
        "rabbitmqctl",
        "--quiet",
        "list_queues",
        "--formatter",
        "json",
        "name",
        "messages",
        "leader",
        "members",
        "online",
    ];
    parse(&inside(cluster, 0, &words).await?)
}

fn parse(text: &str) -> Result<Vec<Queue>> {
    let list: Vec<Value> = serde_json::from_str(text).context("rabbitmqctl list_queues printed no JSON")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let count = |value: &Value| value.as_array().map_or(0, Vec::len);
    let mut queues: Vec<_> = list
        .iter()
        .map(|queue| Queue {
            name: text(&queue["name"]),
            messages: queue["messages"].as_u64().unwrap_or_default(),
            leader: pod_of(&text(&queue["leader"])),
            members: count(&queue["members"]),
            online: count(&queue["online"]),
        })
        .collect();
    queues.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(queues)
}

/// What a program prints in a pod of the broker.
///
/// # Errors
/// When it fails; with what it said.
pub async fn inside(cluster: &Cluster, pod: usize, words: &[&str]) -> Result<String> {
    cluster
        .inside(&format!("rabbitmq-{pod}"), "rabbitmq", words, None)
        .await
}

/// The node of a pod.
#[must_use]
pub fn name(pod: usize) -> String {
    format!("rabbit@rabbitmq-{pod}.rabbitmq-nodes.{NAMESPACE}")
}

/// The pod of a node: `rabbitmq-1` of `rabbit@rabbitmq-1.rabbitmq-nodes.irmgard`.
fn pod_of(node: &str) -> String {
    let host = node.trim_start_matches("rabbit@");
    host.split('.').next().unwrap_or_default().to_owned()
}

/// Which pod each connection leads to, by the name that its client gave it.
///
/// # Errors
/// When no answer comes from the first pod.
pub async fn connections(cluster: &Cluster) -> Result<BTreeMap<String, String>> {
    let words = [
        "rabbitmqctl",
        "--quiet",
        "list_connections",
        "--formatter",
        "json",
        "name",
        "client_properties",
    ];
    let text = inside(cluster, 0, &words).await?;
    parse_connections(&text, &cluster.pods("rabbitmq").await?)
}

fn parse_connections(text: &str, pods: &[Pod]) -> Result<BTreeMap<String, String>> {
    let list: Vec<Value> =
        serde_json::from_str(text).context("rabbitmqctl list_connections printed no JSON")?;
    let known = |connection: &Value| {
        let properties = connection["client_properties"].as_array()?;
        let given = properties
            .iter()
            .find(|property| property[0] == "connection_name")?;
        // `10.0.0.1:40000 -> 10.0.0.2:5672`
        let (_, to) = connection["name"].as_str()?.split_once(" -> ")?;
        let (ip, _) = to.rsplit_once(':')?;
        let pod = pods.iter().find(|pod| pod.ip == ip)?;
        Some((given[2].as_str()?.to_owned(), pod.name.clone()))
    };
    Ok(list.iter().filter_map(known).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_read_with_their_copies() {
        let text = r#"[
            {"name":"images.dead","messages":0,"leader":"rabbit@rabbitmq-0.x","members":["a"],"online":["a"]}
            ,{"name":"images","messages":7,"leader":"rabbit@rabbitmq-1.rabbitmq-nodes.irmgard","members":["a","b","c"],"online":["a","b"]}
        ]"#;
        let queues = parse(text).unwrap();
        let images = Queue {
            name: "images".to_owned(),
            messages: 7,
            leader: "rabbitmq-1".to_owned(),
            members: 3,
            online: 2,
        };
        assert_eq!((&queues[0], queues.len()), (&images, 2));
        assert!(parse("no").is_err());
    }

    #[test]
    fn connections_are_known_by_the_name_that_their_client_gave() {
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

//! The broker's nodes and queues, as RabbitMQ's own programs tell of them in a pod.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, NAMESPACE, Seen, until};

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
}

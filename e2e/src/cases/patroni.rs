//! The database's pods, as Patroni and PostgreSQL tell of them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, NAMESPACE, Pod, Seen, until};

const CONFIGURATION: &str = "/etc/irmgard/patroni.yml";

/// What Patroni keeps in the Kubernetes API: one look costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lease {
    /// The pod that is primary, or was last.
    pub leader: String,
    /// The standbys that every commit waits for.
    pub standbys: Vec<String>,
}

impl Lease {
    /// As it is now.
    ///
    /// # Errors
    /// When the API does not answer, or there has not been a primary yet.
    pub async fn of(cluster: &Cluster) -> Result<Self> {
        let leader = annotations(cluster, "postgres-leader").await?;
        let standbys = annotations(cluster, "postgres-sync").await?;
        Ok(Self::from(&leader, &standbys))
    }

    fn from(leader: &Value, sync: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let leader = text(&leader["leader"]);
        // What an earlier primary has written is no promise of this one.
        let standbys = if text(&sync["leader"]) == leader {
            text(&sync["sync_standby"])
        } else {
            String::new()
        };
        Self {
            leader,
            standbys: standbys
                .split(',')
                .filter(|name| !name.is_empty())
                .map(ToOwned::to_owned)
                .collect(),
        }
    }
}

async fn annotations(cluster: &Cluster, name: &str) -> Result<Value> {
    let path = format!("/api/v1/namespaces/{NAMESPACE}/configmaps/{name}");
    let object = cluster.api().get(&path).await?;
    Ok(object.map_or(Value::Null, |object| object["metadata"]["annotations"].clone()))
}

/// The pods of the database, without those of its Jobs.
///
/// # Errors
/// When the API does not answer.
pub async fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let mut pods = cluster.pods("postgres").await?;
    pods.retain(|pod| pod.component == "database");
    Ok(pods)
}

/// The pod that is primary and serves.
///
/// # Errors
/// When there is none.
pub async fn primary(cluster: &Cluster) -> Result<Pod> {
    let pods = pods(cluster).await?;
    pods.into_iter()
        .find(|pod| pod.role.as_deref() == Some("primary") && pod.ready && !pod.ending)
        .context("no pod of the database is primary and serves")
}

/// What a program prints in a pod of the database.
///
/// # Errors
/// When it fails; with what it said.
pub async fn inside(cluster: &Cluster, pod: &str, words: &[&str]) -> Result<String> {
    cluster.inside(pod, "postgres", words, None).await
}

/// Runs statements in a pod, as the superuser; ends with the first that fails.
///
/// # Errors
/// What the server said.
pub async fn script(cluster: &Cluster, pod: &str, database: &str, statements: &str) -> Result<()> {
    let database = format!("--dbname={database}");
    let words = [
        "psql",
        "--no-psqlrc",
        "--host=/run/postgresql",
        "--username=postgres",
        "--quiet",
        "--set=ON_ERROR_STOP=1",
        &database,
        "--file=-",
    ];
    let said = cluster.inside(pod, "postgres", &words, Some(statements)).await;
    said.map(drop)
}

/// Rows of a query in a pod, asked there as the superuser.
///
/// # Errors
/// When the server refuses, or is not there.
pub async fn rows(cluster: &Cluster, pod: &str, query: &str) -> Result<Vec<Vec<String>>> {
    let words = [
        "psql",
        "--no-psqlrc",
        "--host=/run/postgresql",
        "--username=postgres",
        "--tuples-only",
        "--no-align",
        "--field-separator=|",
        "--dbname=irmgard",
        "--command",
        query,
    ];
    let text = inside(cluster, pod, &words).await?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split('|').map(ToOwned::to_owned).collect())
        .collect())
}

/// `patronictl` in a pod, with the password that changing something needs.
///
/// # Errors
/// When it refuses; with what it said.
pub async fn patronictl(cluster: &Cluster, pod: &str, words: &[&str]) -> Result<String> {
    let mut all = vec!["irmgard-postgres", "patronictl", "-c", CONFIGURATION];
    all.extend(words);
    inside(cluster, pod, &all).await
}

/// The columns of [`standbys`].
pub const STANDBYS: [&str; 6] = [
    "standby",
    "state",
    "commits wait",
    "bytes behind",
    "written",
    "replayed",
];

/// The standbys of a primary: a row each. The last two: how long ago that was sent what it has written, and replayed.
///
/// # Errors
/// When the primary does not say.
pub async fn standbys(cluster: &Cluster, primary: &str) -> Result<Vec<Vec<String>>> {
    rows(
        cluster,
        primary,
        "select application_name, state, sync_state,
                coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::text, '?'),
                coalesce(round(extract(epoch from write_lag) * 1000, 1) || ' ms', '0'),
                coalesce(round(extract(epoch from replay_lag) * 1000, 1) || ' ms', '0')
         from pg_stat_replication where usename = 'replicator' and state <> 'backup' order by 1",
    )
    .await
}

/// Waits until three pods serve, two standbys stream, and commits wait for one: the primary's name.
///
/// # Errors
/// When it is not so in time.
pub async fn whole(cluster: &Cluster, patience: Duration) -> Result<String> {
    cluster.ready("statefulset", "postgres", patience).await?;
    until(
        "two standbys stream, commits wait for one",
        patience,
        async || {
            let primary = primary(cluster).await?.name;
            let lease = Lease::of(cluster).await?;
            if lease.leader != primary || lease.standbys.is_empty() {
                return Ok(Seen::NotYet(format!("{lease:?}")));
            }
            let rows = standbys(cluster, &primary).await?;
            let streaming = rows
                .iter()
                .filter(|row| row.get(1).is_some_and(|state| state == "streaming"));
            Ok(if streaming.count() == 2 {
                Seen::Yes(primary)
            } else {
                Seen::NotYet(format!("{rows:?}"))
            })
        },
    )
    .await
}

/// What a pod's Patroni has said that has one of these words in it, without doubles.
///
/// # Errors
/// When there is no such pod.
pub async fn said(cluster: &Cluster, pod: &str, words: &[&str]) -> Result<Vec<String>> {
    let arguments = [
        "logs",
        "--namespace",
        NAMESPACE,
        pod,
        "--container",
        "postgres",
        "--tail=2000",
    ];
    let text = cluster.kubectl().run(&arguments).await?;
    Ok(messages(&text, words))
}

fn messages(text: &str, words: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        // PostgreSQL's own lines have a timestamp, Patroni's a time and a module.
        let message = line["message"].as_str().unwrap_or_default();
        // A whole page.
        let page = message.starts_with("pg_controldata");
        let wanted = !page && !line["module"].is_null() && words.iter().any(|word| message.contains(word));
        if wanted && !found.iter().any(|known| known == message) {
            found.push(message.to_owned());
        }
    }
    found
}

/// Compares a ledger, ids with the SHA-256 of their photo, with the rows of a project on a pod: how many rows there are, which ids have no
/// row, and which have another photo's.
///
/// # Errors
/// When the server does not answer.
pub async fn against_rows<'a>(
    cluster: &Cluster,
    pod: &str,
    project: &str,
    ledger: impl Iterator<Item = (i64, &'a str)>,
) -> Result<(usize, Vec<i64>)> {
    ensure!(
        project.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{project} is no project of ours"
    );
    let query = format!("select id, encode(sha256, 'hex') from photo where project = '{project}'");
    let rows = rows(cluster, pod, &query).await?;
    let known: std::collections::BTreeMap<&str, &str> = rows
        .iter()
        .filter_map(|row| Some((row.first()?.as_str(), row.get(1)?.as_str())))
        .collect();
    let missing = ledger
        .filter(|(id, sha256)| known.get(id.to_string().as_str()) != Some(sha256))
        .map(|(id, _)| id)
        .collect();
    Ok((rows.len(), missing))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_earlier_primarys_standbys_do_not_count() {
        let leader = json!({ "leader": "postgres-1" });
        let sync = json!({ "leader": "postgres-1", "sync_standby": "postgres-0,postgres-2" });
        assert_eq!(Lease::from(&leader, &sync).standbys, ["postgres-0", "postgres-2"]);
        let sync = json!({ "leader": "postgres-0", "sync_standby": "postgres-1" });
        assert!(Lease::from(&leader, &sync).standbys.is_empty());
        assert_eq!(Lease::from(&Value::Null, &Value::Null), Lease::default());
    }

    #[test]
    fn only_patronis_own_lines_are_found_and_once() {
        let text = "{\"timestamp\":\"x\",\"message\":\"pg_rewind\"}\nno JSON\n\
                    {\"time\":\"x\",\"module\":\"rewind\",\"message\":\"running pg_rewind from postgres-1\"}\n\
                    {\"time\":\"y\",\"module\":\"rewind\",\"message\":\"running pg_rewind from postgres-1\"}\n\
                    {\"time\":\"y\",\"module\":\"x\",\"message\":\"pg_controldata:\\n rewind\"}\n\
                    {\"time\":\"y\",\"module\":\"ha\",\"message\":\"Lock owner: postgres-1\"}\n";
        assert_eq!(messages(text, &["rewind"]), ["running pg_rewind from postgres-1"]);
    }
}

//! The state of the database's pods, from Patroni and PostgreSQL.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::cluster::{Cluster, Condition, NAMESPACE, Pod, wait_until};

const CONFIGURATION: &str = "/etc/irmgard/patroni.yml";

/// Leader and standbys, from Patroni's annotations in the Kubernetes API.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leadership {
    /// The current or last primary.
    pub leader: String,
    /// The synchronous standbys.
    pub standbys: Vec<String>,
}

impl Leadership {
    /// Reads the current annotations.
    pub async fn read(cluster: &Cluster) -> Result<Self> {
        let leader = annotations(cluster, "postgres-leader").await?;
        let standbys = annotations(cluster, "postgres-sync").await?;
        Ok(Self::parse(&leader, &standbys))
    }

    fn parse(leader: &Value, sync: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let leader = text(&leader["leader"]);
        // The annotation of an earlier primary says nothing about this one.
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
pub async fn pods(cluster: &Cluster) -> Result<Vec<Pod>> {
    let mut pods = cluster.pods("postgres").await?;
    pods.retain(|pod| pod.component == "database");
    Ok(pods)
}

/// The pod that is primary and ready.
pub async fn primary(cluster: &Cluster) -> Result<Pod> {
    let pods = pods(cluster).await?;
    pods.into_iter()
        .find(|pod| pod.role.as_deref() == Some("primary") && pod.ready && !pod.terminating)
        .context("no pod of the database is primary and ready")
}

/// Runs a program in a pod of the database and returns its output.
///
/// # Errors
/// When it fails; with its standard error.
pub async fn exec(cluster: &Cluster, pod: &str, program: &[&str]) -> Result<String> {
    cluster.exec(pod, "postgres", program, None).await
}

/// Runs statements in a pod as the superuser, until the first that fails.
///
/// # Errors
/// The server's error.
pub async fn run_script(cluster: &Cluster, pod: &str, database: &str, statements: &str) -> Result<()> {
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
    let output = cluster.exec(pod, "postgres", &words, Some(statements)).await;
    output.map(drop)
}

/// Runs a query in a pod as the superuser, and returns the rows.
pub async fn query(cluster: &Cluster, pod: &str, sql: &str) -> Result<Vec<Vec<String>>> {
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
        sql,
    ];
    let text = exec(cluster, pod, &words).await?;
    Ok(text
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.split('|').map(ToOwned::to_owned).collect())
        .collect())
}

/// Runs `patronictl` in a pod, with the password for changes.
///
/// # Errors
/// When it fails; with its standard error.
pub async fn patronictl(cluster: &Cluster, pod: &str, arguments: &[&str]) -> Result<String> {
    let mut command = vec!["irmgard-postgres", "patronictl", "-c", CONFIGURATION];
    command.extend(arguments);
    exec(cluster, pod, &command).await
}

/// The columns of [`standbys`].
pub const STANDBY_COLUMNS: [&str; 6] = [
    "standby",
    "state",
    "synchronous",
    "bytes behind",
    "write lag",
    "replay lag",
];

/// A table row for each standby of a primary.
pub async fn standbys(cluster: &Cluster, primary: &str) -> Result<Vec<Vec<String>>> {
    query(
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

/// Waits until three pods are ready, two standbys stream, and one of them is synchronous. Returns the primary's name.
pub async fn wait_until_healthy(cluster: &Cluster, time_limit: Duration) -> Result<String> {
    cluster
        .wait_until_ready("statefulset", "postgres", time_limit)
        .await?;
    wait_until(
        "two standbys stream, and one is synchronous",
        time_limit,
        async || {
            let primary = primary(cluster).await?.name;
            let leadership = Leadership::read(cluster).await?;
            if leadership.leader != primary || leadership.standbys.is_empty() {
                return Ok(Condition::Unmet(format!("{leadership:?}")));
            }
            let rows = standbys(cluster, &primary).await?;
            let streaming = rows
                .iter()
                .filter(|row| row.get(1).is_some_and(|state| state == "streaming"));
            Ok(if streaming.count() == 2 {
                Condition::Met(primary)
            } else {
                Condition::Unmet(format!("{rows:?}"))
            })
        },
    )
    .await
}

/// Patroni's log messages in a pod that contain one of these words, without duplicates.
pub async fn log_messages(cluster: &Cluster, pod: &str, words: &[&str]) -> Result<Vec<String>> {
    let command = format!("logs --namespace {NAMESPACE} {pod} --container postgres --tail=2000");
    let text = cluster.kubectl().run(&command).await?;
    Ok(matching_messages(&text, words))
}

fn matching_messages(text: &str, words: &[&str]) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in text.lines() {
        let Ok(line) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        // Only Patroni's lines have a module.
        let message = line["message"].as_str().unwrap_or_default();
        // The output of pg_controldata is too long for the report.
        let is_controldata = message.starts_with("pg_controldata");
        let matches =
            !is_controldata && !line["module"].is_null() && words.iter().any(|word| message.contains(word));
        if matches && !found.iter().any(|earlier| earlier == message) {
            found.push(message.to_owned());
        }
    }
    found
}

/// Compares photos (id and SHA-256) with the rows of a project on a pod. Returns the number of rows, and the ids without a matching
/// row.
pub async fn missing_rows<'a>(
    cluster: &Cluster,
    pod: &str,
    project: &str,
    photos: impl Iterator<Item = (i64, &'a str)>,
) -> Result<(usize, Vec<i64>)> {
    ensure!(
        project.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "{project} is not a valid project name"
    );
    let sql = format!("select id, encode(sha256, 'hex') from photo where project = '{project}'");
    let rows = query(cluster, pod, &sql).await?;
    let stored: std::collections::BTreeMap<&str, &str> = rows
        .iter()
        .filter_map(|row| Some((row.first()?.as_str(), row.get(1)?.as_str())))
        .collect();
    let missing = photos
        .filter(|(id, sha256)| stored.get(id.to_string().as_str()) != Some(sha256))
        .map(|(id, _)| id)
        .collect();
    Ok((rows.len(), missing))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_standbys_of_an_earlier_primary_do_not_count() {
        let leader = json!({ "leader": "postgres-1" });
        let sync = json!({ "leader": "postgres-1", "sync_standby": "postgres-0,postgres-2" });
        assert_eq!(
            Leadership::parse(&leader, &sync).standbys,
            ["postgres-0", "postgres-2"]
        );
        let sync = json!({ "leader": "postgres-0", "sync_standby": "postgres-1" });
        assert!(Leadership::parse(&leader, &sync).standbys.is_empty());
        assert_eq!(
            Leadership::parse(&Value::Null, &Value::Null),
            Leadership::default()
        );
    }

    #[test]
    fn only_patronis_messages_match_and_each_once() {
        let text = "{\"timestamp\":\"x\",\"message\":\"pg_rewind\"}\nno JSON\n\
                    {\"time\":\"x\",\"module\":\"rewind\",\"message\":\"running pg_rewind from postgres-1\"}\n\
                    {\"time\":\"y\",\"module\":\"rewind\",\"message\":\"running pg_rewind from postgres-1\"}\n\
                    {\"time\":\"y\",\"module\":\"x\",\"message\":\"pg_controldata:\\n rewind\"}\n\
                    {\"time\":\"y\",\"module\":\"ha\",\"message\":\"Lock owner: postgres-1\"}\n";
        assert_eq!(
            matching_messages(text, &["rewind"]),
            ["running pg_rewind from postgres-1"]
        );
    }
}

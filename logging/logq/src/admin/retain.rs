//! `logq admin retain`: rolls over large or old indices, and deletes expired ones.

use std::time::Duration;

use opensearch::http::Method;
use serde_json::{Value, json};

use super::change::{Action, Change};
use super::desired::data_streams;
use super::measure::{Age, Size};
use super::{Error, Result, RetentionPolicy, streams};
use crate::opensearch::Client;

/// A backing index of a data stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    /// Creation time, milliseconds since 1970 by OpenSearch's clock.
    pub created: u64,
    /// Number of lines.
    pub lines: u64,
    /// Bytes without replicas.
    pub size: Size,
}

/// The backing indices of a data stream, oldest first; the last one is the write index. None if the stream does not
/// exist.
///
/// # Errors
/// [`super::Error`].
pub async fn indices(client: &Client, stream: &str) -> Result<Option<Vec<Index>>> {
    match streams::find(client, stream).await? {
        Some(data_stream) => describe_indices(client, stream, data_stream.indices)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// Rolls over and deletes, and reports each stream and index. A dry run only reports. Continues after a failed stream, then returns the first
/// error.
///
/// # Errors
/// The first [`super::Error`].
pub async fn retain(
    client: &Client,
    policy: RetentionPolicy,
    dry_run: bool,
    report: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    let mut first: Option<Error> = None;
    for stream in data_streams() {
        if let Err(error) = retain_stream(client, &stream, policy, dry_run, report).await {
            match error {
                error @ Error::Output(_) => return Err(error),
                Error::OpenSearch(ref cause) if cause.is_unreachable() => return Err(error),
                error => {
                    report(Change::new(
                        format!("data stream {stream}"),
                        Action::Skipped(error.to_string()),
                    ))?;
                    first.get_or_insert(error);
                }
            }
        }
    }
    first.map_or(Ok(()), Err)
}

async fn retain_stream(
    client: &Client,
    stream: &str,
    policy: RetentionPolicy,
    dry_run: bool,
    report: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    let title = format!("data stream {stream}");
    let Some(indices) = indices(client, stream).await? else {
        let why = "it does not exist: run `logq admin bootstrap`";
        return report(Change::new(title, Action::Skipped(why.into())));
    };
    let Some((write_index, filled)) = indices.split_last() else {
        return Ok(());
    };
    let mut changed = roll_over(client, stream, write_index, policy, dry_run, report).await?;
    let now = server_time(client).await?;
    for (index, next) in filled.iter().zip(indices.iter().skip(1)) {
        // An index receives no lines after the creation of the next one.
        let age = Age(Duration::from_millis(now.saturating_sub(next.created)));
        if age <= policy.keep {
            continue;
        }
        changed = true;
        let why = format!("{} lines, {}, closed {age} ago", index.lines, index.size);
        let action = if dry_run {
            Action::Planned(format!("be deleted: {why}"))
        } else {
            delete(client, &index.name).await?;
            Action::Deleted(why)
        };
        report(Change::new(&index.name, action))?;
    }
    if !changed {
        report(Change::new(title, Action::Unchanged))?;
    }
    Ok(())
}

async fn describe_indices(client: &Client, stream: &str, names: Vec<String>) -> Result<Vec<Index>> {
    let what = format!("show sizes and ages of {stream}");
    let settings = client
        .get(
            &what,
            &format!("/{stream}/_settings/index.creation_date"),
            &[("flat_settings", "true")],
        )
        .await?;
    let stats = client
        .get(&what, &format!("/{stream}/_stats/docs,store"), &[])
        .await?;
    let mut indices = Vec::new();
    for name in names {
        let created = settings
            .get(&name)
            .and_then(|index| index.get("settings"))
            .and_then(|settings| settings.get("index.creation_date"))
            .and_then(Value::as_str)
            .and_then(|text| text.parse().ok());
        let Some(created) = created else {
            // Another run deleted it, or its age is unknown. Leave it alone.
            continue;
        };
        let primaries = stats
            .get("indices")
            .and_then(|indices| indices.get(&name))
            .and_then(|index| index.get("primaries"));
        let number = |path: &str| {
            primaries
                .and_then(|primaries| primaries.pointer(path))
                .and_then(Value::as_u64)
                .unwrap_or(0)
        };
        indices.push(Index {
            created,
            lines: number("/docs/count"),
            size: Size(number("/store/size_in_bytes")),
            name,
        });
    }
    Ok(indices)
}

/// OpenSearch's time, milliseconds since 1970: the ages of indices are relative to it.
///
/// # Errors
/// [`super::Error`].
pub async fn server_time(client: &Client) -> Result<u64> {
    let what = "report its time";
    let query = [("filter_path", "nodes.*.timestamp")];
    let answer = client.get(what, "/_nodes/_local/stats/process", &query).await?;
    answer
        .get("nodes")
        .and_then(Value::as_object)
        .and_then(|nodes| nodes.values().next())
        .and_then(|node| node.get("timestamp"))
        .and_then(Value::as_u64)
        .ok_or_else(|| client.unexpected(what, "the response has no time").into())
}

/// Returns whether the stream has, or would have, a new index.
async fn roll_over(
    client: &Client,
    stream: &str,
    write_index: &Index,
    policy: RetentionPolicy,
    dry_run: bool,
    report: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<bool> {
    // Otherwise a quiet component would get an empty index every day.
    if write_index.lines == 0 {
        return Ok(false);
    }
    let conditions = json!({ "conditions": {
        "max_size": format!("{}b", policy.rollover_size.0),
        "max_age": format!("{}s", policy.rollover_age.0.as_secs()),
    }});
    let request = streams::roll_over(client, stream, &write_index.name, dry_run, Some(&conditions));
    let Some(answer) = request.await? else {
        // Another run rolled over first.
        return Ok(false);
    };
    let met = answer
        .get("conditions")
        .and_then(Value::as_object)
        .is_some_and(|conditions| conditions.values().any(|met| met.as_bool() == Some(true)));
    if !met {
        return Ok(false);
    }
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or("?");
    let how = format!(
        "{} is full ({} lines, {}); new lines go to {}",
        text("old_index"),
        write_index.lines,
        write_index.size,
        text("new_index")
    );
    let action = if dry_run {
        Action::Planned(how)
    } else {
        Action::Changed(how)
    };
    report(Change::new(format!("data stream {stream}"), action))?;
    Ok(true)
}

/// OpenSearch itself protects the write index of a stream.
async fn delete(client: &Client, index: &str) -> Result<()> {
    let path = format!("/{index}");
    match client
        .ask(&format!("delete {index}"), Method::Delete, &path, &[], None)
        .await
    {
        Err(error) if error.rejection_status() != Some(404) => Err(error.into()),
        _ => Ok(()),
    }
}

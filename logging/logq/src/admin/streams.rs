//! Creates a data stream, or updates its mappings and settings.

use opensearch::http::Method;
use serde_json::{Value, json};

use super::change::{Action, Change};
use super::desired::{PIPELINE, TEMPLATE};
use super::difference::{contains, flat_settings, names, new_fields};
use super::{Error, Result};
use crate::opensearch::{Client, Error as Refusal};

type Say<'a> = &'a mut (dyn FnMut(Change) -> Result<()> + Send);

pub(super) struct DataStream {
    /// Backing indices, oldest first; the last one is the write index.
    pub indices: Vec<String>,
    /// The index template of its next index.
    template: String,
}

pub(super) async fn find(client: &Client, stream: &str) -> Result<Option<DataStream>> {
    let what = format!("show the data stream {stream}");
    let Some(answer) = client.find(&what, &format!("/_data_stream/{stream}")).await? else {
        return Ok(None);
    };
    // For an index or alias of this name, the list is empty.
    if answer
        .get("data_streams")
        .and_then(Value::as_array)
        .is_some_and(Vec::is_empty)
    {
        return Ok(None);
    }
    let template = answer
        .pointer("/data_streams/0/template")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let indices: Vec<String> = answer
        .pointer("/data_streams/0/indices")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|index| index.get("index_name").and_then(Value::as_str))
        .map(str::to_owned)
        .collect();
    if indices.is_empty() {
        return Err(client.unexpected(&what, "the stream has no indices").into());
    }
    Ok(Some(DataStream { indices, template }))
}

/// The effective template for a new index, including the user's component template.
pub(super) async fn simulate_template(client: &Client) -> Result<Value> {
    let answer = client
        .ask(
            &format!("simulate the index template {TEMPLATE}"),
            Method::Post,
            &format!("/_index_template/_simulate/{TEMPLATE}"),
            &[],
            None,
        )
        .await?;
    Ok(answer.get("template").cloned().unwrap_or_default())
}

/// Creates the stream, or updates it to the template. Without a template, only checks that it exists.
pub(super) async fn prepare(
    client: &Client,
    stream: &str,
    template: Option<&Value>,
    dry_run: bool,
    report: Say<'_>,
) -> Result<()> {
    let title = format!("data stream {stream}");
    let Some(current) = find(client, stream).await? else {
        let action = if dry_run {
            Action::Created.planned()
        } else {
            create(client, stream).await?
        };
        return report(Change::new(title, action));
    };
    let Some(template) = template else {
        return report(Change::new(title, Action::Unchanged));
    };
    if current.template != TEMPLATE {
        return Err(outranked(client, stream).await?);
    }
    let mapped = update_mappings(client, stream, &current.indices, template, dry_run, report).await?;
    let write_index = current.indices.last().filter(|_| dry_run);
    let set = update_settings(client, stream, template, write_index, report).await?;
    if mapped && set {
        report(Change::new(title, Action::Unchanged))?;
    }
    Ok(())
}

/// Checks that our template would apply to a new stream. A stream keeps the template of its creation.
async fn check_template_wins(client: &Client, stream: &str) -> Result<()> {
    let answer = client
        .ask(
            &format!("simulate the index template of {stream}"),
            Method::Post,
            &format!("/_index_template/_simulate_index/{stream}"),
            &[],
            None,
        )
        .await?;
    let pipeline = answer
        .pointer("/template/settings/index/final_pipeline")
        .and_then(Value::as_str);
    if pipeline == Some(PIPELINE) {
        Ok(())
    } else {
        Err(outranked(client, stream).await?)
    }
}

async fn outranked(client: &Client, stream: &str) -> Result<Error> {
    Ok(Error::Outranked {
        stream: stream.into(),
        overlapping: competing_templates(client, stream).await?,
    })
}

/// Names and priorities of the other matching templates, highest priority first. OpenSearch does not say which one
/// wins.
async fn competing_templates(client: &Client, stream: &str) -> Result<String> {
    let answer = client
        .get("list its index templates", "/_index_template", &[])
        .await?;
    let mut all: Vec<(u64, String)> = answer
        .get("index_templates")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|template| {
            let name = template.get("name")?.as_str()?;
            let patterns = template.pointer("/index_template/index_patterns")?;
            let matches = patterns
                .as_array()?
                .iter()
                .filter_map(Value::as_str)
                .any(|pattern| {
                    // The only wildcard is the star.
                    globset::Glob::new(pattern).is_ok_and(|glob| glob.compile_matcher().is_match(stream))
                });
            let priority = template
                .pointer("/index_template/priority")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            (matches && name != TEMPLATE).then(|| {
                (
                    priority,
                    format!("{name} (priority {priority}, patterns {patterns})"),
                )
            })
        })
        .collect();
    all.sort_by(|one, other| other.cmp(one));
    let texts: Vec<String> = all.into_iter().map(|(_, text)| text).collect();
    Ok(if texts.is_empty() {
        "none; check whether irmgard-logs-custom removes index.final_pipeline".into()
    } else {
        texts.join(", ")
    })
}

async fn create(client: &Client, stream: &str) -> Result<Action> {
    let known = client
        .find("resolve the name", &format!("/_resolve/index/{stream}"))
        .await?
        .unwrap_or_default();
    let taken = ["indices", "aliases"].iter().any(|kind| {
        known
            .get(kind)
            .and_then(Value::as_array)
            .is_some_and(|all| !all.is_empty())
    });
    if taken {
        return Err(Error::Taken {
            stream: stream.into(),
        });
    }
    let made = async {
        check_template_wins(client, stream).await?;
        client
            .put(
                &format!("create the data stream {stream}"),
                &format!("/_data_stream/{stream}"),
                None,
            )
            .await?;
        Ok(Action::Created)
    };
    match made.await {
        Ok(action) => Ok(action),
        // Another bootstrap created it first, which makes a concurrent request fail with a 500.
        Err(_) if find(client, stream).await?.is_some() => Ok(Action::Unchanged),
        Err(error) => Err(error),
    }
}

/// Adds new fields. If a field changes its type, rolls the stream over. Returns whether nothing changed.
async fn update_mappings(
    client: &Client,
    stream: &str,
    indices: &[String],
    template: &Value,
    dry_run: bool,
    report: Say<'_>,
) -> Result<bool> {
    let desired = template.get("mappings").cloned().unwrap_or_default();
    let what = format!("show the mappings of {stream}");
    let all = client
        .find(&what, &format!("/{stream}/_mapping"))
        .await?
        .unwrap_or_default();
    let mut nothing = true;
    for (number, index) in indices.iter().enumerate() {
        let Some(current) = all.get(index).and_then(|index| index.get("mappings")) else {
            continue;
        };
        if contains(current, &desired) {
            continue;
        }
        let title = format!("mapping of {index}");
        let new = new_fields(current, &desired);
        let added = if new.is_empty() {
            "new ways to store existing fields".to_owned()
        } else {
            format!("new fields {}", names(&new).join(", "))
        };
        // An older index keeps its mapping.
        if dry_run && new.is_empty() && number + 1 < indices.len() {
            continue;
        }
        nothing = false;
        if dry_run {
            report(Change::new(title, Action::Changed(added).planned()))?;
            continue;
        }
        let what = format!("change the mapping of {index}");
        let path = format!("/{index}/_mapping");
        let Err(refused) = client.put(&what, &path, Some(&desired)).await else {
            report(Change::new(title, Action::Changed(added)))?;
            continue;
        };
        if refused.rejection_status() != Some(400) {
            return Err(refused.into());
        }
        if number + 1 == indices.len() {
            report(Change::new(title, Action::Skipped(format!("{refused}"))))?;
            roll_over_if_current(client, stream, index, report).await?;
            continue;
        }
        // An older index keeps its fields; new fields become searchable.
        if !new.is_empty() {
            let body = json!({ "properties": new });
            client.put(&what, &path, Some(&body)).await?;
            report(Change::new(title, Action::Changed(added)))?;
        } else {
            let why = "closed; its fields have another mapping than in new indices";
            report(Change::new(title, Action::Skipped(why.into())))?;
        }
    }
    Ok(nothing)
}

/// Rolls the stream over. None if another run did so first: OpenSearch answers one of two concurrent requests with a
/// 500.
pub(super) async fn roll_over(
    client: &Client,
    stream: &str,
    write_index: &str,
    dry_run: bool,
    conditions: Option<&Value>,
) -> Result<Option<Value>> {
    let request = client
        .ask(
            &format!("give {stream} a new index"),
            Method::Post,
            &format!("/{stream}/_rollover"),
            &[("dry_run", if dry_run { "true" } else { "false" })],
            conditions,
        )
        .await;
    match request {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ (Refusal::Failed { .. } | Refusal::Rejected { .. })) => {
            let now = find(client, stream).await?;
            let same =
                now.is_some_and(|current| current.indices.last().map(String::as_str) == Some(write_index));
            if same { Err(error.into()) } else { Ok(None) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Rolls the stream over, unless another bootstrap did.
async fn roll_over_if_current(
    client: &Client,
    stream: &str,
    write_index: &str,
    report: Say<'_>,
) -> Result<()> {
    let now = find(client, stream)
        .await?
        .map_or_else(Vec::new, |current| current.indices);
    let answer = if now.last().map(String::as_str) == Some(write_index) {
        roll_over(client, stream, write_index, false, None).await?
    } else {
        None
    };
    let action = match answer {
        None => Action::Skipped("it already has a new index".into()),
        Some(answer) => {
            let index = answer.get("new_index").and_then(Value::as_str).unwrap_or("?");
            Action::Changed(format!("new lines go to {index}, which has the new mapping"))
        }
    };
    report(Change::new(format!("data stream {stream}"), action))
}

/// Updates dynamic settings to the template. Returns whether nothing changed. A dry run checks only the write index:
/// other settings of older indices cannot change.
async fn update_settings(
    client: &Client,
    stream: &str,
    template: &Value,
    write_index: Option<&String>,
    report: Say<'_>,
) -> Result<bool> {
    let what = format!("show the settings of {stream}");
    let all = client
        .get(
            &what,
            &format!("/{stream}/_settings"),
            &[("flat_settings", "true")],
        )
        .await?;
    let indices: Vec<&Value> = all
        .as_object()
        .into_iter()
        .flat_map(|indices| indices.iter())
        .filter(|(name, _)| write_index.is_none_or(|write_index| write_index == *name))
        .map(|(_, index)| index)
        .collect();
    let mut nothing = true;
    for (name, value) in flat_settings(template.get("settings").unwrap_or(&Value::Null)) {
        let same = indices.iter().all(|index| {
            index
                .get("settings")
                .and_then(|settings| settings.get(&name))
                .is_some_and(|current| contains(current, &value))
        });
        // With auto-expanded replicas, OpenSearch chooses the number.
        if same || name == "index.number_of_replicas" {
            continue;
        }
        if write_index.is_some() {
            // Only an attempt shows whether an open index accepts the setting.
            nothing = false;
            let action = Action::Changed(format!("the new value is {value}")).planned();
            report(Change::new(format!("{name} of {stream}"), action))?;
            continue;
        }
        let body = json!({ &name: value });
        let what = format!("change {name} of {stream}");
        let path = format!("/{stream}/_settings");
        let action = match client.put(&what, &path, Some(&body)).await {
            Ok(_) => {
                nothing = false;
                Action::Changed(format!("is now {value}"))
            }
            // A static setting applies to the next index.
            Err(refused) if refused.rejection_status() == Some(400) => {
                Action::Skipped(format!("{value} from the stream's next index on"))
            }
            Err(error) => return Err(error.into()),
        };
        report(Change::new(format!("{name} of {stream}"), action))?;
    }
    Ok(nothing)
}

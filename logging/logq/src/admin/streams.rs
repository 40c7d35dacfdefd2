//! One data stream: made where it is missing, and brought to the template's
//! mapping and settings where it is older.

use opensearch::http::Method;
use serde_json::{Value, json};

use super::desired::{PIPELINE, TEMPLATE};
use super::difference::{flat_settings, holds, names, new_fields};
use super::outcome::{Outcome, State};
use super::{Error, Result};
use crate::opensearch::{Client, Error as Refusal};

type Say<'a> = &'a mut (dyn FnMut(Outcome) -> Result<()> + Send);

/// A data stream as it is.
pub(super) struct Stream {
    /// Its backing indices, the oldest first. The last one is written to.
    pub indices: Vec<String>,
    /// The index template that its next index is made of.
    template: String,
}

/// The data stream of this name, if there is one.
pub(super) async fn find(client: &Client, stream: &str) -> Result<Option<Stream>> {
    let what = format!("show the data stream {stream}");
    let Some(answer) = client.find(&what, &format!("/_data_stream/{stream}")).await? else {
        return Ok(None);
    };
    // An index or an alias of this name is no error here, and no stream.
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
        return Err(client.strange(&what, "the stream has no indices").into());
    }
    Ok(Some(Stream { indices, template }))
}

/// What a new index of our streams is, the installation's own component
/// considered.
pub(super) async fn template(client: &Client) -> Result<Value> {
    let answer = client
        .ask(
            &format!("say what the index template {TEMPLATE} comes to"),
            Method::Post,
            &format!("/_index_template/_simulate/{TEMPLATE}"),
            &[],
            None,
        )
        .await?;
    Ok(answer.get("template").cloned().unwrap_or_default())
}

/// Brings a stream to what the template says; without one, to being there.
pub(super) async fn prepare(
    client: &Client,
    stream: &str,
    template: Option<&Value>,
    dry_run: bool,
    say: Say<'_>,
) -> Result<()> {
    let title = format!("data stream {stream}");
    let Some(there) = find(client, stream).await? else {
        let state = if dry_run {
            State::Created.would()
        } else {
            create(client, stream).await?
        };
        return say(Outcome::new(title, state));
    };
    let Some(template) = template else {
        return say(Outcome::new(title, State::Same));
    };
    if there.template != TEMPLATE {
        return Err(outranked(client, stream).await?);
    }
    let mapped = map(client, stream, &there.indices, template, dry_run, say).await?;
    let written = there.indices.last().filter(|_| dry_run);
    let set = set(client, stream, template, written, say).await?;
    if mapped && set {
        say(Outcome::new(title, State::Same))?;
    }
    Ok(())
}

/// Sees that our template would be taken for a stream that does not exist yet:
/// made of another one it would stay as it is made.
async fn see_that_ours_wins(client: &Client, stream: &str) -> Result<()> {
    let answer = client
        .ask(
            &format!("say which template {stream} would have"),
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
        overlapping: rivals(client, stream).await?,
    })
}

/// Names and priorities of the other templates, the highest priority first:
/// the winner among them is not told by the server.
async fn rivals(client: &Client, stream: &str) -> Result<String> {
    let answer = client
        .ask(
            "list its index templates",
            Method::Get,
            "/_index_template",
            &[],
            None,
        )
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
                    // A pattern's only sign is the star.
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
        "none; perhaps irmgard-logs-custom takes index.final_pipeline away".into()
    } else {
        texts.join(", ")
    })
}

async fn create(client: &Client, stream: &str) -> Result<State> {
    let known = client
        .find(
            "say what the name stands for",
            &format!("/_resolve/index/{stream}"),
        )
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
        see_that_ours_wins(client, stream).await?;
        client
            .ask(
                &format!("create the data stream {stream}"),
                Method::Put,
                &format!("/_data_stream/{stream}"),
                &[],
                None,
            )
            .await?;
        Ok(State::Created)
    };
    match made.await {
        Ok(state) => Ok(state),
        // Another bootstrap was faster; a question about it has then failed with a 500.
        Err(_) if find(client, stream).await?.is_some() => Ok(State::Same),
        Err(error) => Err(error),
    }
}

/// Adds fields that are new; where a field is another one now, the stream gets
/// a new index. Tells whether nothing was to be done.
async fn map(
    client: &Client,
    stream: &str,
    indices: &[String],
    template: &Value,
    dry_run: bool,
    say: Say<'_>,
) -> Result<bool> {
    let wanted = template.get("mappings").cloned().unwrap_or_default();
    let what = format!("show the mappings of {stream}");
    let all = client
        .find(&what, &format!("/{stream}/_mapping"))
        .await?
        .unwrap_or_default();
    let mut nothing = true;
    for (number, index) in indices.iter().enumerate() {
        let Some(there) = all.get(index).and_then(|index| index.get("mappings")) else {
            continue;
        };
        if holds(there, &wanted) {
            continue;
        }
        let title = format!("mapping of {index}");
        let new = new_fields(there, &wanted);
        let added = if new.is_empty() {
            "fields are kept in more ways than before".to_owned()
        } else {
            format!("new fields {}", names(&new).join(", "))
        };
        // What is filled keeps what it has.
        if dry_run && new.is_empty() && number + 1 < indices.len() {
            continue;
        }
        nothing = false;
        if dry_run {
            say(Outcome::new(title, State::Changed(added).would()))?;
            continue;
        }
        let what = format!("change the mapping of {index}");
        let path = format!("/{index}/_mapping");
        let Err(refused) = client.ask(&what, Method::Put, &path, &[], Some(&wanted)).await else {
            say(Outcome::new(title, State::Changed(added)))?;
            continue;
        };
        if refused.rejected_with() != Some(400) {
            return Err(refused.into());
        }
        if number + 1 == indices.len() {
            say(Outcome::new(title, State::Left(format!("{refused}"))))?;
            renew(client, stream, index, say).await?;
            continue;
        }
        // What is filled keeps the fields that it has, and can be searched for the new ones.
        if !new.is_empty() {
            let body = json!({ "properties": new });
            client.ask(&what, Method::Put, &path, &[], Some(&body)).await?;
            say(Outcome::new(title, State::Changed(added)))?;
        } else {
            let why = "it is filled, and keeps fields that are otherwise in new indices";
            say(Outcome::new(title, State::Left(why.into())))?;
        }
    }
    Ok(nothing)
}

/// Asks for a new index for the stream. None where another one has come about
/// meanwhile: of two who ask at once, OpenSearch answers one with a 500.
pub(super) async fn roll_over(
    client: &Client,
    stream: &str,
    written: &str,
    dry_run: bool,
    conditions: Option<&Value>,
) -> Result<Option<Value>> {
    let asked = client
        .ask(
            &format!("give {stream} a new index"),
            Method::Post,
            &format!("/{stream}/_rollover"),
            &[("dry_run", if dry_run { "true" } else { "false" })],
            conditions,
        )
        .await;
    match asked {
        Ok(answer) => Ok(Some(answer)),
        Err(error @ (Refusal::Failed { .. } | Refusal::Rejected { .. })) => {
            let now = find(client, stream).await?;
            let same = now.is_some_and(|there| there.indices.last().map(String::as_str) == Some(written));
            if same { Err(error.into()) } else { Ok(None) }
        }
        Err(error) => Err(error.into()),
    }
}

/// Gives the stream a new index, unless another bootstrap has done so.
async fn renew(client: &Client, stream: &str, written: &str, say: Say<'_>) -> Result<()> {
    let now = find(client, stream)
        .await?
        .map_or_else(Vec::new, |there| there.indices);
    let answer = if now.last().map(String::as_str) == Some(written) {
        roll_over(client, stream, written, false, None).await?
    } else {
        None
    };
    let state = match answer {
        None => State::Left("it has a new index already".into()),
        Some(answer) => {
            let index = answer.get("new_index").and_then(Value::as_str).unwrap_or("?");
            State::Changed(format!("new lines go to {index}, with the new mapping"))
        }
    };
    say(Outcome::new(format!("data stream {stream}"), state))
}

/// Brings settings that can be changed to what the template says. Tells
/// whether nothing was to be done. A dry run looks at the index that is
/// `written`: what is filled can keep settings that none can change.
async fn set(
    client: &Client,
    stream: &str,
    template: &Value,
    written: Option<&String>,
    say: Say<'_>,
) -> Result<bool> {
    let what = format!("show the settings of {stream}");
    let all = client
        .ask(
            &what,
            Method::Get,
            &format!("/{stream}/_settings"),
            &[("flat_settings", "true")],
            None,
        )
        .await?;
    let indices: Vec<&Value> = all
        .as_object()
        .into_iter()
        .flat_map(|indices| indices.iter())
        .filter(|(name, _)| written.is_none_or(|written| written == *name))
        .map(|(_, index)| index)
        .collect();
    let mut nothing = true;
    for (name, value) in flat_settings(template.get("settings").unwrap_or(&Value::Null)) {
        let same = indices.iter().all(|index| {
            index
                .get("settings")
                .and_then(|settings| settings.get(&name))
                .is_some_and(|there| holds(there, &value))
        });
        // Where replicas follow the number of nodes, their number is the server's.
        if same || name == "index.number_of_replicas" {
            continue;
        }
        if written.is_some() {
            // Whether an open index takes it is seen only when it is tried.
            nothing = false;
            let state = State::Changed(format!("is to be {value}")).would();
            say(Outcome::new(format!("{name} of {stream}"), state))?;
            continue;
        }
        let body = json!({ &name: value });
        let what = format!("change {name} of {stream}");
        let path = format!("/{stream}/_settings");
        let state = match client.ask(&what, Method::Put, &path, &[], Some(&body)).await {
            Ok(_) => {
                nothing = false;
                State::Changed(format!("is now {value}"))
            }
            // Not while an index is open; the next one has it.
            Err(refused) if refused.rejected_with() == Some(400) => {
                State::Left(format!("becomes {value} with the stream's next index"))
            }
            Err(error) => return Err(error.into()),
        };
        say(Outcome::new(format!("{name} of {stream}"), state))?;
    }
    Ok(nothing)
}

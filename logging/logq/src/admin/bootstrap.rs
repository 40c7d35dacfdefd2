//! `logq admin bootstrap`: creates or updates templates, the pipeline and data streams.

use serde_json::Value;

use super::change::{Action, Change};
use super::desired::{ManagedObject, data_streams, managed_objects};
use super::difference::contains;
use super::{Result, roles, streams};
use crate::opensearch::Client;

/// Options of a bootstrap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Also install the security plugin's roles.
    pub roles: bool,
    /// Report changes without making them.
    pub dry_run: bool,
}

/// Limit for reinstalling an object that an older release overwrites at the same time.
const MAX_ATTEMPTS: usize = 5;

/// Creates or updates what is missing or outdated, and reports each object. Deletes nothing.
///
/// Several bootstraps of several releases may run at once: each checks again after a write, so the newest release wins.
///
/// # Errors
/// [`super::Error`]. Finished changes stay; the next run continues.
pub async fn bootstrap(
    client: &Client,
    options: Options,
    report: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    let dry_run = options.dry_run;
    let mut whole = true;
    for object in managed_objects()? {
        let action = install(client, &object, dry_run).await?;
        whole &= !matches!(action, Action::Planned(_));
        report(Change::new(object.title(), action))?;
    }
    if options.roles && !dry_run {
        roles::install(client, report).await?;
    }
    // Compare streams with the installed templates only if these are current. Otherwise check only that streams exist.
    let template = if whole {
        Some(streams::simulate_template(client).await?)
    } else {
        None
    };
    for stream in data_streams() {
        streams::prepare(client, &stream, template.as_ref(), dry_run, report).await?;
    }
    Ok(())
}

async fn install(client: &Client, object: &ManagedObject, dry_run: bool) -> Result<Action> {
    let ours = object.body.get("version").and_then(Value::as_u64);
    let mut first_action = None;
    for _ in 0..MAX_ATTEMPTS {
        let what = format!("show the {}", object.title());
        let answer = client.find(&what, &object.path()).await?;
        let current = answer.as_ref().and_then(|answer| object.body_in(answer));
        let action = match current {
            Some(_) if object.is_user_owned => return Ok(first_action.unwrap_or(Action::Unchanged)),
            None => Action::Created,
            Some(current) => {
                let installed = current.get("version").and_then(Value::as_u64);
                if installed > ours {
                    return Ok(Action::Skipped(format!(
                        "version {} belongs to a newer release (this release: {})",
                        number(installed),
                        number(ours)
                    )));
                }
                if contains(current, &object.body) {
                    return Ok(first_action.unwrap_or(Action::Unchanged));
                }
                Action::Changed(if installed == ours {
                    format!("another program changed it; back to version {}", number(ours))
                } else {
                    format!("version {} replaced by {}", number(installed), number(ours))
                })
            }
        };
        if dry_run {
            return Ok(action.planned());
        }
        let what = format!("store the {}", object.title());
        client.put(&what, &object.path(), Some(&object.body)).await?;
        first_action.get_or_insert(action);
    }
    Ok(Action::Skipped(
        "other programs keep changing it; run this command again".into(),
    ))
}

fn number(version: Option<u64>) -> String {
    version.map_or_else(|| "none".into(), |version| version.to_string())
}

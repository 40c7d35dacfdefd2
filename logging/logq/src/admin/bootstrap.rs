//! Puts templates, pipeline and streams where they are missing or older than
//! this release's.

use opensearch::http::Method;
use serde_json::Value;

use super::change::{Action, Change};
use super::desired::{ManagedObject, data_streams, managed_objects};
use super::difference::contains;
use super::{Result, plugins, streams};
use crate::opensearch::Client;

/// What is wanted beside templates and streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The security plugin's roles.
    pub roles: bool,
    /// The policy of index state management, in place of `retain`.
    pub ism: bool,
    /// Nothing is done; it is only told.
    pub dry_run: bool,
}

/// How often a piece is put again that an older release overwrote meanwhile.
const MAX_ATTEMPTS: usize = 5;

/// Does what is missing, tells `report` of each thing what became of it, and
/// deletes nothing. Any number may run at once, of several releases: each
/// looks again after it has put something, so the newest one's stay.
///
/// # Errors
/// [`super::Error`]; what was done until then stays, and the next run goes on.
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
        plugins::roles(client, report).await?;
    }
    if options.ism && !dry_run {
        plugins::policy(client, report).await?;
    }
    // What streams are compared with is what the templates there come to: with others, only whether they are there counts.
    let template = if whole {
        Some(streams::simulate_template(client).await?)
    } else {
        None
    };
    for stream in data_streams() {
        streams::prepare(client, &stream, template.as_ref(), dry_run, report).await?;
    }
    if options.ism && !dry_run {
        plugins::manage_streams(client, report).await?;
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
                        "version {} is of a newer release (this one's: {})",
                        number(installed),
                        number(ours)
                    )));
                }
                if contains(current, &object.body) {
                    return Ok(first_action.unwrap_or(Action::Unchanged));
                }
                Action::Changed(if installed == ours {
                    format!("somebody had changed it; it is version {} again", number(ours))
                } else {
                    format!("version {} is now {}", number(installed), number(ours))
                })
            }
        };
        if dry_run {
            return Ok(action.planned());
        }
        let what = format!("take the {}", object.title());
        client
            .ask(&what, Method::Put, &object.path(), &[], Some(&object.body))
            .await?;
        first_action.get_or_insert(action);
    }
    Ok(Action::Skipped("others keep changing it; run this again".into()))
}

fn number(version: Option<u64>) -> String {
    version.map_or_else(|| "none".into(), |version| version.to_string())
}

//! What the plugins of a full distribution take: roles of the security
//! plugin, a policy of index state management.

use opensearch::http::Method;
use serde_json::{Value, json};

use super::Result;
use super::desired::{
    POLICY, data_streams, described_version, policy as wanted_policy, roles as wanted_roles,
};
use super::difference::holds;
use super::outcome::{Outcome, State};
use crate::opensearch::{Client, Error};

type Say<'a> = &'a mut (dyn FnMut(Outcome) -> Result<()> + Send);

enum Found {
    NoPlugin,
    Nothing,
    This(Value),
}

/// A plugin that is not installed has no handler for its paths, which is a 400.
async fn look(client: &Client, what: &str, path: &str) -> Result<Found> {
    match client.find(what, path).await {
        Ok(None) => Ok(Found::Nothing),
        Ok(Some(answer)) => Ok(Found::This(answer)),
        Err(Error::Rejected {
            status: 400, reason, ..
        }) if reason.starts_with("no handler found") => Ok(Found::NoPlugin),
        Err(error) => Err(error.into()),
    }
}

/// What is to be done with something whose version is in its description:
/// none where it stays as it is.
fn decide(there: &Value, wanted: &Value, description: &str) -> Option<State> {
    let theirs = described_version(there.pointer(description));
    let ours = described_version(wanted.pointer(description));
    if theirs > ours {
        let newer = theirs.unwrap_or_default();
        return Some(State::Left(format!("version {newer} is of a newer release")));
    }
    holds(there, wanted).then_some(State::Same)
}

pub(super) async fn roles(client: &Client, say: Say<'_>) -> Result<()> {
    for (name, wanted) in wanted_roles()? {
        let title = format!("role {name}");
        let path = format!("/_plugins/_security/api/roles/{name}");
        let state = match look(client, &format!("show the role {name}"), &path).await? {
            Found::NoPlugin => {
                let why = "OpenSearch runs without its security plugin: whoever reaches it may do everything";
                return say(Outcome::new("roles", State::Left(why.into())));
            }
            Found::Nothing => State::Created,
            Found::This(answer) => {
                let there = answer.get(&name).unwrap_or(&Value::Null);
                if let Some(state) = decide(there, &wanted, "/description") {
                    say(Outcome::new(title, state))?;
                    continue;
                }
                State::Changed("has the rights of this release".into())
            }
        };
        let what = format!("take the role {name}");
        client.ask(&what, Method::Put, &path, &[], Some(&wanted)).await?;
        say(Outcome::new(title, state))?;
    }
    Ok(())
}

pub(super) async fn policy(client: &Client, say: Say<'_>) -> Result<()> {
    let title = format!("index state policy {POLICY}");
    let path = format!("/_plugins/_ism/policies/{POLICY}");
    let wanted = wanted_policy()?;
    let (state, query) = match look(client, "show its index state policy", &path).await? {
        Found::NoPlugin => {
            let why = "OpenSearch runs without index state management: use `logq admin retain`";
            return say(Outcome::new(title, State::Left(why.into())));
        }
        Found::Nothing => (State::Created, Vec::new()),
        Found::This(answer) => {
            if let Some(state) = decide(&answer, &wanted, "/policy/description") {
                return say(Outcome::new(title, state));
            }
            let number = |name: &str| answer.get(name).map(Value::to_string).unwrap_or_default();
            let query = vec![
                ("if_seq_no", number("_seq_no")),
                ("if_primary_term", number("_primary_term")),
            ];
            (State::Changed("is this release's".into()), query)
        }
    };
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    client
        .ask(
            "take the index state policy",
            Method::Put,
            &path,
            &query,
            Some(&wanted),
        )
        .await?;
    say(Outcome::new(title, state))
}

/// A policy finds by itself only indices that are made after it.
pub(super) async fn manage_streams(client: &Client, say: Say<'_>) -> Result<()> {
    let path = format!("/_plugins/_ism/policies/{POLICY}");
    if matches!(
        look(client, "show its index state policy", &path).await?,
        Found::NoPlugin
    ) {
        return Ok(());
    }
    let body = json!({ "policy_id": POLICY });
    for stream in data_streams() {
        let answer = client
            .ask(
                &format!("manage {stream} by the policy {POLICY}"),
                Method::Post,
                &format!("/_plugins/_ism/add/{stream}"),
                &[],
                Some(&body),
            )
            .await?;
        // Indices that have a policy already are its failures.
        let updated = answer.get("updated_indices").and_then(Value::as_u64).unwrap_or(0);
        if updated > 0 {
            say(Outcome::new(
                format!("data stream {stream}"),
                State::Changed(format!("{updated} indices follow the policy {POLICY} now")),
            ))?;
        }
    }
    Ok(())
}

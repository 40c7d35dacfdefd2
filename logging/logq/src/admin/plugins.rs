//! Objects of optional plugins: security roles and the index state management policy.

use opensearch::http::Method;
use serde_json::{Value, json};

use super::Result;
use super::change::{Action, Change};
use super::desired::{
    POLICY, data_streams, described_version, policy as desired_policy, roles as desired_roles,
};
use super::difference::contains;
use crate::opensearch::{Client, Error};

type Say<'a> = &'a mut (dyn FnMut(Change) -> Result<()> + Send);

enum PluginObject {
    NoPlugin,
    Missing,
    Found(Value),
}

/// A missing plugin has no handler for its paths, which OpenSearch reports as a 400.
async fn find_plugin_object(client: &Client, what: &str, path: &str) -> Result<PluginObject> {
    match client.find(what, path).await {
        Ok(None) => Ok(PluginObject::Missing),
        Ok(Some(answer)) => Ok(PluginObject::Found(answer)),
        Err(Error::Rejected {
            status: 400, reason, ..
        }) if reason.starts_with("no handler found") => Ok(PluginObject::NoPlugin),
        Err(error) => Err(error.into()),
    }
}

/// The action for an object with a version in its description, or None to install the desired one.
fn compare_versions(current: &Value, desired: &Value, description: &str) -> Option<Action> {
    let installed = described_version(current.pointer(description));
    let ours = described_version(desired.pointer(description));
    if installed > ours {
        let newer = installed.unwrap_or_default();
        return Some(Action::Skipped(format!(
            "version {newer} belongs to a newer release"
        )));
    }
    contains(current, desired).then_some(Action::Unchanged)
}

pub(super) async fn roles(client: &Client, report: Say<'_>) -> Result<()> {
    for (name, desired) in desired_roles()? {
        let title = format!("role {name}");
        let path = format!("/_plugins/_security/api/roles/{name}");
        let action = match find_plugin_object(client, &format!("show the role {name}"), &path).await? {
            PluginObject::NoPlugin => {
                let why = "OpenSearch runs without its security plugin: every client has all rights";
                return report(Change::new("roles", Action::Skipped(why.into())));
            }
            PluginObject::Missing => Action::Created,
            PluginObject::Found(answer) => {
                let current = answer.get(&name).unwrap_or(&Value::Null);
                if let Some(action) = compare_versions(current, &desired, "/description") {
                    report(Change::new(title, action))?;
                    continue;
                }
                Action::Changed("now has the permissions of this release".into())
            }
        };
        let what = format!("store the role {name}");
        client.ask(&what, Method::Put, &path, &[], Some(&desired)).await?;
        report(Change::new(title, action))?;
    }
    Ok(())
}

pub(super) async fn policy(client: &Client, report: Say<'_>) -> Result<()> {
    let title = format!("index state policy {POLICY}");
    let path = format!("/_plugins/_ism/policies/{POLICY}");
    let desired = desired_policy()?;
    let (action, query) = match find_plugin_object(client, "show its index state policy", &path).await? {
        PluginObject::NoPlugin => {
            let why = "OpenSearch runs without Index State Management. Use `logq admin retain`";
            return report(Change::new(title, Action::Skipped(why.into())));
        }
        PluginObject::Missing => (Action::Created, Vec::new()),
        PluginObject::Found(answer) => {
            if let Some(action) = compare_versions(&answer, &desired, "/policy/description") {
                return report(Change::new(title, action));
            }
            let number = |name: &str| answer.get(name).map(Value::to_string).unwrap_or_default();
            let query = vec![
                ("if_seq_no", number("_seq_no")),
                ("if_primary_term", number("_primary_term")),
            ];
            (Action::Changed("now matches this release".into()), query)
        }
    };
    let query: Vec<(&str, &str)> = query
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    client
        .ask(
            "store the index state policy",
            Method::Put,
            &path,
            &query,
            Some(&desired),
        )
        .await?;
    report(Change::new(title, action))
}

/// Attaches the policy to existing indices: a policy picks up only newer indices by itself.
pub(super) async fn manage_streams(client: &Client, report: Say<'_>) -> Result<()> {
    let path = format!("/_plugins/_ism/policies/{POLICY}");
    if matches!(
        find_plugin_object(client, "show its index state policy", &path).await?,
        PluginObject::NoPlugin
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
        // The response lists indices that already have a policy as failures.
        let updated = answer.get("updated_indices").and_then(Value::as_u64).unwrap_or(0);
        if updated > 0 {
            report(Change::new(
                format!("data stream {stream}"),
                Action::Changed(format!("{updated} more indices use the policy {POLICY}")),
            ))?;
        }
    }
    Ok(())
}

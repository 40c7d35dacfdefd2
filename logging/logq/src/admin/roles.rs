//! Roles of the security plugin, which may be missing.

use serde_json::Value;

use super::{
    Result,
    change::{Action, Change},
    desired::{described_version, roles},
    difference::contains,
};
use crate::opensearch::{Client, Error};

pub(super) async fn install(
    client: &Client,
    report: &mut (dyn FnMut(Change) -> Result<()> + Send),
) -> Result<()> {
    for (name, desired) in roles()? {
        let path = format!("/_plugins/_security/api/roles/{name}");
        let action = match client.find(&format!("show the role {name}"), &path).await {
            Ok(None) => Action::Created,
            Ok(Some(answer)) => change(answer.get(&name).unwrap_or(&Value::Null), &desired),
            // A missing plugin has no handler for its paths, which OpenSearch reports as a 400.
            Err(Error::Rejected {
                status: 400, reason, ..
            }) if reason.starts_with("no handler found") => {
                let why = "OpenSearch runs without its security plugin: every client has all rights";
                return report(Change::new("roles", Action::Skipped(why.into())));
            }
            Err(error) => return Err(error.into()),
        };
        let change = Change::new(format!("role {name}"), action);
        if change.is_change() {
            let what = format!("store the role {name}");
            client.put(&what, &path, Some(&desired)).await?;
        }
        report(change)?;
    }
    Ok(())
}

/// What to do with an installed role. Its description contains its version.
fn change(current: &Value, desired: &Value) -> Action {
    let installed = described_version(current.get("description"));
    match installed {
        Some(newer) if installed > described_version(desired.get("description")) => {
            Action::Skipped(format!("version {newer} belongs to a newer release"))
        }
        _ if contains(current, desired) => Action::Unchanged,
        _ => Action::Changed("now has the permissions of this release".into()),
    }
}

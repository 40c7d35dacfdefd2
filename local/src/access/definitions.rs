//! The broker's definitions, from the file that the cluster loads too.

use serde_json::{Value, json};

use crate::error::{Error, Result};

const DEFINITIONS: &str = include_str!("../../../services/rabbitmq/definitions.json");

fn parse_definitions() -> Result<Value> {
    serde_json::from_str(DEFINITIONS)
        .map_err(|error| Error::request("cannot parse services/rabbitmq/definitions.json", error))
}

/// The policies for the job queue and its related queues. Each is an object of `name`, `pattern`, `apply-to`, `priority` and
/// `definition`.
pub(super) fn policies() -> Result<Vec<Value>> {
    Ok(parse_definitions()?["policies"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// The definitions for a private server: with one user that has all permissions.
pub(crate) fn definitions_with_user(username: &str, password: &str, vhost: &str) -> Result<Value> {
    let mut definitions = parse_definitions()?;
    definitions["users"] = json!([{
        "name": username, "password": password, "tags": "administrator", "limits": {},
    }]);
    definitions["permissions"] = json!([{
        "user": username, "vhost": vhost, "configure": ".*", "write": ".*", "read": ".*",
    }]);
    Ok(definitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_match_the_queues_of_the_contract() {
        let queues = contract::queues::Queues::default();
        let policies = policies().unwrap();
        for (policy, queue) in policies.iter().zip(queues.all()) {
            assert_eq!(policy["pattern"], format!("^{}$", queue.replace('.', r"\.")));
        }
        assert_eq!(policies[0]["definition"]["dead-letter-routing-key"], queues.dead);
    }
}

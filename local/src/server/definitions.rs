//! The broker's policies, out of the file that the cluster loads too.

use serde_json::{Value, json};

use crate::access::RabbitMqAccess;
use crate::error::{Error, Result};

const DEFINITIONS: &str = include_str!("../../../services/rabbitmq/definitions.json");

/// The job queue's name that the file speaks of.
const NAME: &str = "images";

/// The policies for queues that go with the job queue `jobs`, each an object of `name`, `pattern`, `apply-to`, `priority`,
/// `definition`.
///
/// # Errors
/// When the file is not what it should be.
pub(crate) fn policies(jobs: &str) -> Result<Vec<Value>> {
    let definitions = read()?;
    let mut policies = definitions["policies"].as_array().cloned().unwrap_or_default();
    for policy in &mut policies {
        rename(
            &mut policy["pattern"],
            &format!("^{NAME}"),
            &format!("^{}", escaped(jobs)),
        );
        rename(&mut policy["definition"]["dead-letter-routing-key"], NAME, jobs);
        if policy["definition"]["dead-letter-routing-key"].is_null()
            && let Some(definition) = policy["definition"].as_object_mut()
        {
            definition.remove("dead-letter-routing-key");
        }
    }
    Ok(policies)
}

/// A name as a regular expression that matches it alone.
fn escaped(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            (!c.is_alphanumeric() && c != '_' && c != '-')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

fn rename(value: &mut Value, from: &str, to: &str) {
    let renamed = value
        .as_str()
        .and_then(|text| text.strip_prefix(from))
        .map(|rest| format!("{to}{rest}"));
    if let Some(renamed) = renamed {
        *value = renamed.into();
    }
}

fn read() -> Result<Value> {
    serde_json::from_str(DEFINITIONS)
        .map_err(|error| Error::request("services/rabbitmq/definitions.json is read", error))
}

/// The file as a private server loads it: with the one user who may do everything.
pub(super) fn with_user(access: &RabbitMqAccess) -> Result<Value> {
    let mut definitions = read()?;
    definitions["users"] = json!([{
        "name": access.username, "password": access.password, "tags": "administrator", "limits": {},
    }]);
    definitions["permissions"] = json!([{
        "user": access.username, "vhost": access.vhost, "configure": ".*", "write": ".*", "read": ".*",
    }]);
    Ok(definitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_follow_the_job_queue() {
        let policies = policies("a.b").unwrap();
        let texts: Vec<&str> = policies
            .iter()
            .map(|policy| policy["pattern"].as_str().unwrap())
            .collect();
        assert_eq!(
            texts,
            [r"^a\.b$", r"^a\.b\.results$", r"^a\.b\.dead$", r"^a\.b\.parked$"]
        );
        assert_eq!(policies[0]["definition"]["dead-letter-routing-key"], "a.b.dead");
        assert_eq!(policies[1]["definition"]["dead-letter-routing-key"], "a.b.parked");
        assert!(policies[3]["definition"].get("dead-letter-routing-key").is_none());
    }

    #[test]
    fn the_names_are_those_of_the_contract() {
        let queues = contract::queues::Queues::default();
        let policies = policies(&queues.jobs).unwrap();
        for (policy, queue) in policies.iter().zip(queues.all()) {
            assert_eq!(policy["pattern"], format!("^{}$", escaped(queue)));
        }
        assert_eq!(policies[0]["definition"]["dead-letter-routing-key"], queues.dead);
    }
}

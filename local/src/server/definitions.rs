//! The broker's policies, from the definitions file that the cluster loads too.

use serde_json::{Value, json};

use crate::access::RabbitMqAccess;
use crate::error::{Error, Result};

const DEFINITIONS: &str = include_str!("../../../services/rabbitmq/definitions.json");

/// The job queue's name in the file.
const JOB_QUEUE: &str = "images";

/// The policies for the job queue `jobs` and its related queues. Each is an object of `name`, `pattern`, `apply-to`,
/// `priority` and `definition`.
///
/// # Errors
/// When the file is not valid.
pub(crate) fn policies(jobs: &str) -> Result<Vec<Value>> {
    let definitions = parse_definitions()?;
    let mut policies = definitions["policies"].as_array().cloned().unwrap_or_default();
    for policy in &mut policies {
        replace_prefix(
            &mut policy["pattern"],
            &format!("^{JOB_QUEUE}"),
            &format!("^{}", regex_escape(jobs)),
        );
        replace_prefix(
            &mut policy["definition"]["dead-letter-routing-key"],
            JOB_QUEUE,
            jobs,
        );
        if policy["definition"]["dead-letter-routing-key"].is_null()
            && let Some(definition) = policy["definition"].as_object_mut()
        {
            definition.remove("dead-letter-routing-key");
        }
    }
    Ok(policies)
}

/// A regular expression that matches exactly this name.
fn regex_escape(name: &str) -> String {
    name.chars()
        .flat_map(|c| {
            (!c.is_alphanumeric() && c != '_' && c != '-')
                .then_some('\\')
                .into_iter()
                .chain([c])
        })
        .collect()
}

fn replace_prefix(value: &mut Value, from: &str, to: &str) {
    let renamed = value
        .as_str()
        .and_then(|text| text.strip_prefix(from))
        .map(|rest| format!("{to}{rest}"));
    if let Some(renamed) = renamed {
        *value = renamed.into();
    }
}

fn parse_definitions() -> Result<Value> {
    serde_json::from_str(DEFINITIONS)
        .map_err(|error| Error::request("cannot parse services/rabbitmq/definitions.json", error))
}

/// The definitions for a private server: with one user that has all permissions.
pub(super) fn with_user(access: &RabbitMqAccess) -> Result<Value> {
    let mut definitions = parse_definitions()?;
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
    fn policies_use_the_job_queues_name() {
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
    fn policies_match_the_queues_of_the_contract() {
        let queues = contract::queues::Queues::default();
        let policies = policies(&queues.jobs).unwrap();
        for (policy, queue) in policies.iter().zip(queues.all()) {
            assert_eq!(policy["pattern"], format!("^{}$", regex_escape(queue)));
        }
        assert_eq!(policies[0]["definition"]["dead-letter-routing-key"], queues.dead);
    }
}

//! Explains why a service accepts no connections, from the status of its pods.

use serde_json::Value;

use super::{ForwardError, ServiceRef};
use crate::source::kubectl::KubectlProgram;

/// Limit for one request.
const REQUEST_TIMEOUT: &str = "--request-timeout=5s";

const MAX_NAMED_PODS: usize = 3;

/// Asks the cluster why a service has no ready pod; None if it does not know or does not answer.
pub(super) fn explain_not_ready(program: &KubectlProgram, service: &ServiceRef) -> Option<ForwardError> {
    let get = |what: &[String]| {
        let fixed = [
            format!("--namespace={}", service.namespace),
            "--output=json".to_owned(),
            REQUEST_TIMEOUT.to_owned(),
        ];
        let last_message = ["get".to_owned()]
            .into_iter()
            .chain(what.iter().cloned())
            .chain(fixed);
        let json = program
            .run_to_end(&program.with_cluster_arguments(last_message))
            .ok()?;
        serde_json::from_slice::<Value>(&json).ok()
    };
    let service = get(&["service".to_owned(), service.name.clone()])?;
    // A service without a selector has manually managed addresses.
    let selector = selector(&service)?;
    let pods = get(&["pods".to_owned(), format!("--selector={selector}")])?;
    let reason = describe_pods(pods.get("items")?.as_array()?, &selector)?;
    Some(ForwardError::NotRunning { reason })
}

fn selector(service: &Value) -> Option<String> {
    let labels = service.pointer("/spec/selector")?.as_object()?;
    let labels: Vec<String> = labels
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_str()?)))
        .collect();
    (!labels.is_empty()).then(|| labels.join(","))
}

/// Describes the pods that are not ready; None if one of them is ready.
fn describe_pods(pods: &[Value], selector: &str) -> Option<String> {
    if pods.is_empty() {
        return Some(format!(
            "no pod matches its service ({selector}). Is it scaled to 0?"
        ));
    }
    let descriptions: Option<Vec<String>> = pods.iter().map(describe_not_ready).collect();
    let mut descriptions = descriptions?;
    let more = descriptions.len().saturating_sub(MAX_NAMED_PODS);
    descriptions.truncate(MAX_NAMED_PODS);
    if more > 0 {
        descriptions.push(format!("and {more} more are not ready"));
    }
    Some(descriptions.join(", "))
}

/// Describes why a pod is not ready; None if it is.
fn describe_not_ready(pod: &Value) -> Option<String> {
    let text = |path: &str| pod.pointer(path).and_then(Value::as_str);
    let name = text("/metadata/name").unwrap_or("?");
    let list = |path: &str| pod.pointer(path).and_then(Value::as_array).into_iter().flatten();
    if text("/metadata/deletionTimestamp").is_some() {
        return Some(format!("{name} is terminating"));
    }
    let condition = |kind: &str| {
        list("/status/conditions")
            .find(|condition| condition.get("type").and_then(Value::as_str) == Some(kind))
    };
    let says = |condition: &Value, name: &str| condition.get(name).and_then(Value::as_str).map(str::to_owned);
    let is_ready = |ready: &Value| says(ready, "status").as_deref() == Some("True");
    if condition("Ready").is_some_and(is_ready) {
        return None;
    }
    let waits = ["/status/initContainerStatuses", "/status/containerStatuses"]
        .into_iter()
        .flat_map(list)
        .find_map(|container| container.pointer("/state/waiting/reason")?.as_str());
    let unscheduled = condition("PodScheduled")
        .filter(|scheduled| says(scheduled, "status").as_deref() == Some("False"))
        .and_then(|scheduled| says(scheduled, "message"));
    let phase = text("/status/phase").unwrap_or("Unknown");
    let state = if phase == "Running" { "not ready" } else { phase };
    let why = unscheduled.or_else(|| waits.map(str::to_owned));
    let why = why.map_or_else(String::new, |why| format!(": {}", why.trim_end_matches('.')));
    Some(format!("{name} is {state}{why}"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, status: &Value) -> Value {
        json!({ "metadata": { "name": name }, "status": status })
    }

    #[test]
    fn pods_explain_the_failure() {
        let ready = |status: &str| json!([{ "type": "Ready", "status": status }]);
        let waiting = json!([{ "state": { "waiting": { "reason": "CrashLoopBackOff" } } }]);
        let unscheduled = json!([{
            "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient \
             memory.",
        }]);
        let well = pod("a", &json!({ "phase": "Running", "conditions": ready("True") }));
        let not_yet = pod("b", &json!({ "phase": "Running", "conditions": ready("False") }));
        let crashes = pod(
            "c",
            &json!({ "phase": "Running", "conditions": ready("False"), "containerStatuses": waiting }),
        );
        let pending = pod("d", &json!({ "phase": "Pending", "conditions": unscheduled }));
        let mut ending = well.clone();
        ending["metadata"]["deletionTimestamp"] = json!("2026-11-22T10:00:00Z");
        for (pods, reason) in [
            (
                vec![],
                Some("no pod matches its service (app=x). Is it scaled to 0?"),
            ),
            (vec![not_yet.clone()], Some("b is not ready")),
            (
                vec![crashes, pending],
                Some(
                    "c is not ready: CrashLoopBackOff, d is Pending: 0/1 nodes are available: 1 Insufficient \
                     memory",
                ),
            ),
            (vec![ending], Some("a is terminating")),
            (
                vec![not_yet.clone(), not_yet.clone(), not_yet.clone(), not_yet.clone()],
                Some("b is not ready, b is not ready, b is not ready, and 1 more are not ready"),
            ),
            (vec![not_yet, well], None),
            (vec![json!({})], Some("? is Unknown")),
        ] {
            assert_eq!(describe_pods(&pods, "app=x").as_deref(), reason, "{pods:?}");
        }
    }

    #[test]
    fn service_selector_is_parsed() {
        let service = json!({ "spec": { "selector": { "app": "x", "tier": "db" } } });
        assert_eq!(selector(&service).as_deref(), Some("app=x,tier=db"));
        for none in [json!({}), json!({ "spec": { "selector": {} } })] {
            assert_eq!(selector(&none), None);
        }
    }
}

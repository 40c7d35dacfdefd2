//! Whether pods are ready, and why not.

use k8s_openapi::api::core::v1::{Pod, PodCondition, PodStatus};

const MAX_NAMED_PODS: usize = 3;

pub(super) fn is_ready(pod: &Pod) -> bool {
    is_running(pod) && condition(pod, "Ready").is_some_and(|ready| ready.status == "True")
}

pub(super) fn is_running(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none() && phase(pod) == Some("Running")
}

/// Describes pods that do not run.
pub(super) fn describe_pods(pods: &[Pod], selector: &str) -> String {
    if pods.is_empty() {
        return format!("no pod matches its service ({selector}). Is it scaled to 0?");
    }
    let mut descriptions: Vec<String> = pods.iter().take(MAX_NAMED_PODS).map(describe_pod).collect();
    let more = pods.len().saturating_sub(MAX_NAMED_PODS);
    if more > 0 {
        descriptions.push(format!("and {more} more are not ready"));
    }
    descriptions.join(", ")
}

fn describe_pod(pod: &Pod) -> String {
    let name = pod.metadata.name.as_deref().unwrap_or("?");
    if pod.metadata.deletion_timestamp.is_some() {
        return format!("{name} is terminating");
    }
    let unscheduled = condition(pod, "PodScheduled").filter(|scheduled| scheduled.status == "False");
    let reason = unscheduled
        .and_then(|scheduled| scheduled.message.as_deref())
        .or_else(|| waiting_reason(pod.status.as_ref()?));
    let reason = reason.map_or_else(String::new, |reason| {
        format!(": {}", reason.trim_end_matches('.'))
    });
    format!("{name} is {}{reason}", phase(pod).unwrap_or("Unknown"))
}

fn phase(pod: &Pod) -> Option<&str> {
    pod.status.as_ref()?.phase.as_deref()
}

fn condition<'p>(pod: &'p Pod, kind: &str) -> Option<&'p PodCondition> {
    let mut conditions = pod.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind)
}

/// Why the first waiting container waits.
fn waiting_reason(status: &PodStatus) -> Option<&str> {
    let init = status.init_container_statuses.iter().flatten();
    let mut containers = init.chain(status.container_statuses.iter().flatten());
    containers.find_map(|container| container.state.as_ref()?.waiting.as_ref()?.reason.as_deref())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, status: &Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": name }, "status": status })).unwrap()
    }

    #[test]
    fn pods_explain_the_failure() {
        let waiting = json!([{
            "name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        }]);
        let unscheduled = json!([{
            "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient \
             memory.",
        }]);
        let failed = pod("b", &json!({ "phase": "Failed" }));
        let crashes = pod(
            "c",
            &json!({ "phase": "Pending", "initContainerStatuses": waiting }),
        );
        let pending = pod("d", &json!({ "phase": "Pending", "conditions": unscheduled }));
        let mut ending = pod("a", &json!({ "phase": "Running" }));
        ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T10:00:00Z")).unwrap();
        for (pods, reason) in [
            (vec![], "no pod matches its service (app=x). Is it scaled to 0?"),
            (vec![failed.clone()], "b is Failed"),
            (
                vec![crashes, pending],
                "c is Pending: CrashLoopBackOff, d is Pending: 0/1 nodes are available: 1 Insufficient memory",
            ),
            (vec![ending], "a is terminating"),
            (
                vec![failed; 4],
                "b is Failed, b is Failed, b is Failed, and 1 more are not ready",
            ),
            (vec![Pod::default()], "? is Unknown"),
        ] {
            assert_eq!(describe_pods(&pods, "app=x"), reason);
        }
    }

    #[test]
    fn ready_pods_run() {
        let status = |phase: &str, ready: &str| json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] });
        let mut ending = pod("a", &status("Running", "True"));
        ending.metadata.deletion_timestamp = serde_json::from_value(json!("2026-11-22T10:00:00Z")).unwrap();
        for (pod, expected) in [
            (pod("a", &status("Running", "True")), (true, true)),
            (pod("a", &status("Running", "False")), (false, true)),
            (pod("a", &status("Pending", "False")), (false, false)),
            (ending, (false, false)),
        ] {
            assert_eq!((is_ready(&pod), is_running(&pod)), expected, "{pod:?}");
        }
    }
}

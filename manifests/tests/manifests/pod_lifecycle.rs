//! The lifecycle of pods: probes, rollouts, shutdown and replacement.

use manifests::{
    Object,
    object::{labels, list_of, selects, text},
};
use serde_json::Value;

use crate::{check_workloads, variables::variables};

/// A pod's grace period is longer than its program's shutdown.
#[test]
fn the_grace_period_allows_draining() {
    check_workloads("the time to drain", |workload, build| {
        let mut violations = Vec::new();
        for container in workload.containers() {
            let set = variables(container, workload, &build.objects);
            let Some(grace) = set
                .get("SHUTDOWN_GRACE")
                .filter(|_| workload.kind() == "Deployment")
            else {
                continue;
            };
            if text(&container["name"]) == "operator-shell" {
                continue;
            }
            let seconds: u64 = grace.trim_end_matches('s').parse().unwrap();
            // docs/configuration.md: returning jobs takes up to 8 s more.
            let needed = seconds + if workload.name() == "anonymizer" { 8 } else { 0 };
            let given = workload.pod()["terminationGracePeriodSeconds"]
                .as_u64()
                .unwrap_or(30);
            if given < needed + 2 {
                violations.push(format!("{given} s to end, but it may take {needed} s"));
            }
        }
        violations
    });
}

/// A web service keeps all old pods until a new one is ready, workers keep all but one. A rollout without progress is aborted.
#[test]
fn a_bad_release_stops() {
    check_workloads("releases", |workload, build| {
        let mut violations = Vec::new();
        if !matches!(workload.name(), "irmgard" | "anonymizer") || workload.kind() != "Deployment" {
            return violations;
        }
        let is_web = workload.name() == "irmgard";
        let rolling = workload.at("/spec/strategy/rollingUpdate");
        let allowed = u64::from(!is_web);
        if rolling["maxUnavailable"]
            .as_u64()
            .is_none_or(|count| count > allowed)
        {
            violations.push(format!(
                "a release may take {} pods at once",
                rolling["maxUnavailable"]
            ));
        }
        if !workload.at("/spec/progressDeadlineSeconds").is_u64() {
            violations.push("nothing says when a release has failed".to_owned());
        }
        for container in workload.containers() {
            if container["readinessProbe"].is_null() {
                violations.push("nothing says when a new pod is ready".to_owned());
            }
            // Requests still arrive until the cluster knows that the pod ends.
            if is_web && !variables(container, workload, &build.objects).contains_key("DRAIN_DELAY") {
                violations.push("it ends while requests are sent to it".to_owned());
            }
        }
        violations
    });
}

/// A data service that is killed during its recovery has to start again. So it has a readiness probe and no liveness probe.
#[test]
fn probes_kill_no_data_service() {
    check_workloads("probes", |workload, _| {
        let mut violations = Vec::new();
        for container in list_of(&workload.pod()["containers"]) {
            match workload.kind() {
                "StatefulSet" => {
                    for probe in ["livenessProbe", "startupProbe"] {
                        if !container[probe].is_null() {
                            violations.push(format!("a {probe} on a data service"));
                        }
                    }
                    if container["readinessProbe"].is_null() {
                        violations.push("no readiness probe".to_owned());
                    }
                }
                "Deployment" | "DaemonSet" if text(&container["name"]) != "operator-shell" => {
                    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
                        if container[probe].is_null() {
                            violations.push(format!("no {probe}"));
                        }
                    }
                }
                _ => {}
            }
        }
        violations
    });
}

/// A node of RabbitMQ whose peer has vanished ends before Kubernetes kills it.
#[test]
fn a_broker_ends_although_its_peer_never_answers() {
    check_workloads("the end of RabbitMQ's nodes", |workload, build| {
        let mut violations = Vec::new();
        if let Some(container) = broker(workload) {
            let set = variables(container, workload, &build.objects);
            let arguments = set
                .get("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS")
                .map_or("", String::as_str);
            let mut words = arguments
                .split_whitespace()
                .skip_while(|word| *word != "+zhft")
                .skip(1);
            let flush: Option<u64> = words.next().and_then(|milliseconds| milliseconds.parse().ok());
            let grace = workload.pod()["terminationGracePeriodSeconds"]
                .as_u64()
                .unwrap_or(30);
            // The same time again for the shutdown itself.
            if flush.is_none_or(|flush| flush == 0 || flush * 2 > grace * 1000) {
                violations.push(format!(
                    "Erlang's halt may wait for ever, or too long: {arguments:?}, and {grace} s to end"
                ));
            }
        }
        violations
    });
}

/// Erlang's crash dump takes no space from the queues, and does not fill its own volume.
#[test]
fn a_crash_dump_is_not_on_the_volume() {
    check_workloads("the place of crash dumps", |workload, build| {
        let mut violations = Vec::new();
        if let Some(container) = broker(workload) {
            let set = variables(container, workload, &build.objects);
            let place = set.get("ERL_CRASH_DUMP").map_or("", String::as_str);
            let mount = list_of(&container["volumeMounts"])
                .iter()
                .find(|mount| place.starts_with(&format!("{}/", text(&mount["mountPath"]))));
            let volume = list_of(&workload.pod()["volumes"])
                .iter()
                .find(|volume| mount.is_some_and(|mount| mount["name"] == volume["name"]));
            let limit = volume.and_then(|volume| text(&volume["emptyDir"]["sizeLimit"]).strip_suffix("Mi"));
            let room = limit
                .and_then(|limit| limit.parse::<u64>().ok())
                .map_or(0, |limit| limit << 20);
            let most: Option<u64> = set
                .get("ERL_CRASH_DUMP_BYTES")
                .and_then(|bytes| bytes.parse().ok());
            if most.is_none_or(|most| most * 2 > room) {
                violations.push(format!("{place:?} may take {most:?} bytes of {room}"));
            }
        }
        violations
    });
}

/// RabbitMQ's container.
fn broker(workload: &Object) -> Option<&Value> {
    let is_broker = workload.kind() == "StatefulSet" && workload.name() == "rabbitmq";
    let containers = list_of(&workload.pod()["containers"]);
    containers.first().filter(|_| is_broker)
}

/// A drain evicts one pod of each service at a time.
#[test]
fn services_survive_a_drain() {
    check_workloads("disruption budgets and spread", |workload, build| {
        let mut violations = Vec::new();
        if !matches!(workload.kind(), "Deployment" | "StatefulSet") || workload.at("/spec/replicas") == 0 {
            return violations;
        }
        let budgets: Vec<&Object> = build
            .objects
            .iter()
            .filter(|object| {
                object.kind() == "PodDisruptionBudget"
                    && selects(
                        &labels(object.at("/spec/selector/matchLabels")),
                        &workload.pod_labels(),
                    )
            })
            .collect();
        match budgets.as_slice() {
            [budget] if budget.at("/spec/maxUnavailable") == 1 => {}
            [_] => violations.push("its budget is not one pod at a time".to_owned()),
            _ => violations.push(format!("{} budgets", budgets.len())),
        }
        let spreads = list_of(&workload.pod()["topologySpreadConstraints"]);
        let replicas = workload.at("/spec/replicas").as_u64().unwrap_or(2);
        if replicas > 1 && spreads.is_empty() {
            violations.push("its pods may all be on one node".to_owned());
        }
        for spread in spreads {
            if spread["whenUnsatisfiable"] != "ScheduleAnyway" {
                violations.push("a spread that keeps pods from running".to_owned());
            }
            if !selects(
                &labels(&spread["labelSelector"]["matchLabels"]),
                &workload.pod_labels(),
            ) {
                violations.push("a spread that counts other pods".to_owned());
            }
        }
        violations
    });
}

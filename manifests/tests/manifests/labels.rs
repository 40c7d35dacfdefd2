//! The labels that logq, Services, disruption budgets and policies select.

use manifests::{
    Object,
    object::{Labels, labels, list_of, selects, text},
};
use schema::{component, label};
use serde_json::Value;

use crate::{assert_no_violations, builds};

/// Components that logq does not know.
const OTHERS: [&str; 2] = ["dashboards", "otel-collector"];

fn is_component(name: &str) -> bool {
    component::ALL.contains(&name) || OTHERS.contains(&name)
}

fn workloads(objects: &[Object]) -> impl Iterator<Item = &Object> {
    objects.iter().filter(|object| object.template().is_some())
}

#[test]
fn pods_have_the_labels_of_log_lines() {
    let Some(builds) = builds("labels of the manifests") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        for workload in workloads(&build.objects) {
            let pod = workload.pod_labels();
            let mut complain = |what: String| violations.push(format!("{}: {workload}: {what}", build.name));
            for name in [label::NAME, label::COMPONENT, label::INSTANCE, label::PART_OF] {
                if pod.get(name).is_none_or(String::is_empty) {
                    complain(format!("its pods have no label {name}"));
                }
                if workload.labels().get(name) != pod.get(name) {
                    complain(format!("{name} is another one than its pods'"));
                }
            }
            let name = pod.get(label::NAME).map(String::as_str).unwrap_or_default();
            if !is_component(name) {
                complain(format!("{}={name} is no component (logging/schema)", label::NAME));
            }
        }
    }
    assert_no_violations(violations);
}

/// logq's `--with-db` and the like need a label for each server that a workload uses, and a workload of that name.
#[test]
fn a_workload_has_a_label_for_each_server_that_it_uses() {
    let Some(builds) = builds("labels of what is used") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        for workload in workloads(&build.objects) {
            let pod = workload.pod_labels();
            let told = crate::variables::names(workload, &build.objects);
            for (uses, mark) in [
                (label::USES_DATABASE, "POSTGRES_PASSWORD"),
                (label::USES_QUEUE, "RABBITMQ_PASSWORD"),
                (label::USES_STORE, "OBJECT_STORE_SECRET_ACCESS_KEY"),
            ] {
                let uses_it = told.iter().any(|name| {
                    name.trim_end_matches("_FILE") == mark
                        || name.trim_end_matches("_FILE") == mark.replace("POSTGRES_", "POSTGRES_MIGRATE_")
                });
                match pod.get(uses) {
                    None if uses_it => {
                        violations.push(format!(
                            "{}: {workload}: {mark} is set, but no label {uses}",
                            build.name
                        ));
                    }
                    Some(_) if !uses_it => {
                        violations.push(format!(
                            "{}: {workload}: {uses}, but {mark} is not set",
                            build.name
                        ));
                    }
                    Some(name) if !component::ALL.contains(&name.as_str()) => {
                        violations.push(format!(
                            "{}: {workload}: {uses}={name} is no component",
                            build.name
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    assert_no_violations(violations);
}

#[test]
fn selectors_select_pods() {
    let Some(builds) = builds("selectors of the manifests") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        for object in &build.objects {
            let selector = match object.kind() {
                "Service" => labels(object.at("/spec/selector")),
                "PodDisruptionBudget" => labels(object.at("/spec/selector/matchLabels")),
                "NetworkPolicy" => labels(object.at("/spec/podSelector/matchLabels")),
                "Deployment" | "StatefulSet" | "DaemonSet" => {
                    let own = labels(object.at("/spec/selector/matchLabels"));
                    if own.is_empty() || !selects(&own, &object.pod_labels()) {
                        violations.push(format!("{}: {object} does not select its own pods", build.name));
                    }
                    own
                }
                _ => continue,
            };
            let selected = selected(&selector, object.namespace(), &build.objects);
            if selected.is_empty() {
                violations.push(format!("{}: {object} selects no pod", build.name));
            }
            let one_only = matches!(
                object.kind(),
                "Deployment" | "StatefulSet" | "DaemonSet" | "Service"
            );
            if one_only && selected.len() > 1 {
                let names: Vec<String> = selected.iter().map(ToString::to_string).collect();
                violations.push(format!(
                    "{}: {object} selects pods of {}",
                    build.name,
                    names.join(", ")
                ));
            }
        }
    }
    assert_no_violations(violations);
}

/// `kubectl apply -l` with a component and `configuration` applies everything that the component's pods reference
/// (docs/releases.md).
#[test]
fn a_component_is_applied_with_its_references() {
    let Some(builds) = builds("parts that are applied alone") else {
        return;
    };
    let (mut checked, mut violations) = (0, Vec::new());
    for build in &builds {
        for workload in workloads(&build.objects) {
            let mut named = Vec::new();
            references(workload.pod(), &mut named);
            for (kind, name) in named {
                checked += 1;
                let there = build.objects.iter().find(|object| {
                    object.kind() == kind
                        && object.name() == name
                        && object.namespace() == workload.namespace()
                });
                let part = there.and_then(|object| object.labels().remove(label::COMPONENT));
                if part.as_deref() != Some("configuration") {
                    violations.push(format!("{}: {workload}: {kind} {name} is {part:?}", build.name));
                }
            }
        }
    }
    assert!(checked > 100, "only {checked} names were checked");
    assert_no_violations(violations);
}

/// Adds the ConfigMaps and Secrets that a part of a pod references.
fn references<'a>(part: &'a Value, found: &mut Vec<(&'static str, &'a str)>) {
    let members = part.as_object().into_iter().flatten();
    for (member, value) in members {
        let (kind, name) = match member.as_str() {
            "configMap" | "configMapRef" | "configMapKeyRef" => ("ConfigMap", &value["name"]),
            "secretRef" | "secretKeyRef" => ("Secret", &value["name"]),
            "secret" if value["secretName"].is_string() => ("Secret", &value["secretName"]),
            "secret" => ("Secret", &value["name"]),
            _ => {
                references(value, found);
                continue;
            }
        };
        found.push((kind, text(name)));
    }
    for element in list_of(part) {
        references(element, found);
    }
}

/// The workloads whose pods have these labels. The label that Patroni gives to running pods does not count.
fn selected<'a>(selector: &Labels, namespace: &str, objects: &'a [Object]) -> Vec<&'a Object> {
    let mut selector = selector.clone();
    selector.remove("role");
    workloads(objects)
        .filter(|workload| workload.namespace() == namespace && selects(&selector, &workload.pod_labels()))
        .collect()
}

/// Patroni's configuration names the labels of its pods.
#[test]
fn patroni_selects_the_labels_of_its_pods() {
    let Some(builds) = builds("Patroni's labels") else {
        return;
    };
    let configuration: serde_json::Value =
        serde_saphyr::from_str(include_str!("../../../services/postgres/patroni.yml")).unwrap();
    let kubernetes = &configuration["kubernetes"];
    let mut wanted = labels(&kubernetes["labels"]);
    wanted.insert(
        text(&kubernetes["scope_label"]).to_owned(),
        text(&configuration["scope"]).to_owned(),
    );
    assert_eq!(wanted.len(), 2);
    for build in &builds {
        let selected = selected(&wanted, "irmgard", &build.objects);
        let names: Vec<&str> = selected.iter().map(|workload| workload.name()).collect();
        assert_eq!(names, ["postgres"], "{}", build.name);
    }
}

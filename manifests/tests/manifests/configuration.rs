//! ConfigMaps and Secrets: every reference resolves, every object is used, and a change replaces pods.

use manifests::object::text;
use serde_json::Value;

use crate::{assert_no_violations, builds, check_workloads};

/// A change of a ConfigMap or Secret replaces its pods, because the object's name contains a hash.
#[test]
fn a_configuration_change_replaces_pods() {
    check_workloads("names of configuration", |workload, build| {
        let mut violations = Vec::new();
        let mut names = Vec::new();
        add_references(workload.pod(), &mut names);
        for (kind, name) in names {
            let object = build.objects.iter().find(|object| {
                object.kind() == kind && object.name() == name && object.namespace() == workload.namespace()
            });
            if object.is_none() {
                violations.push(format!("there is no {kind} {name}"));
            }
            let has_hash = name.rsplit_once('-').is_some_and(|(_, hash)| {
                hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            if !has_hash {
                violations.push(format!("{kind} {name} has no hash in its name"));
            }
        }
        violations
    });
}

/// The ConfigMaps and Secrets that a pod references.
fn add_references<'a>(value: &'a Value, names: &mut Vec<(&'a str, &'a str)>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match name.as_str() {
                    "configMap" | "configMapRef" | "configMapKeyRef" => {
                        names.push(("ConfigMap", text(&member["name"])))
                    }
                    "secretRef" | "secretKeyRef" => names.push(("Secret", text(&member["name"]))),
                    "secret" => {
                        let by_volume = text(&member["secretName"]);
                        names.push((
                            "Secret",
                            if by_volume.is_empty() {
                                text(&member["name"])
                            } else {
                                by_volume
                            },
                        ));
                    }
                    _ => add_references(member, names),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| add_references(element, names)),
        _ => {}
    }
}

/// An unused object is a leftover, or its reference is misspelt.
#[test]
fn configuration_is_used() {
    let Some(builds) = builds("what is mounted") else {
        return;
    };
    let mut violations = Vec::new();
    for build in &builds {
        let mut used = Vec::new();
        for workload in &build.objects {
            add_references(workload.pod(), &mut used);
        }
        for object in &build.objects {
            let is_configuration = matches!(object.kind(), "ConfigMap" | "Secret");
            if is_configuration && !used.contains(&(object.kind(), object.name())) {
                violations.push(format!("{}: nothing uses {object}", build.name));
            }
        }
    }
    assert_no_violations(violations);
}

/// The Secrets, and the only workloads that get them.
const SECRETS: [(&str, &[&str]); 9] = [
    ("postgres", &["postgres"]),
    ("rabbitmq", &["rabbitmq"]),
    ("minio", &["minio", "minio-setup"]),
    ("minio-accounts", &["minio-setup"]),
    ("irmgard", &["irmgard"]),
    ("migrate", &["irmgard-migrate"]),
    ("anonymizer", &["anonymizer"]),
    ("operator-shell", &["operator-shell"]),
    ("sweep", &["irmgard-sweep"]),
];

#[test]
fn each_workload_gets_only_its_secrets() {
    check_workloads("who is given which Secret", |workload, _| {
        let mut names = Vec::new();
        add_references(workload.pod(), &mut names);
        let mut violations = Vec::new();
        for (_, name) in names.into_iter().filter(|(kind, _)| *kind == "Secret") {
            let begin = name.rsplit_once('-').map_or(name, |(begin, _)| begin);
            let known = SECRETS.iter().find(|(secret, _)| *secret == begin);
            if known.is_some_and(|(_, whose)| !whose.contains(&workload.name())) {
                violations.push(format!("{begin} is not for it"));
            }
        }
        violations
    });
}

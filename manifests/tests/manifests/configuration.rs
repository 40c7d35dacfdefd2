//! ConfigMaps and Secrets: what is named is there, what is there is named, and a change makes new pods.

use manifests::object::text;
use serde_json::Value;

use crate::{builds, check, none};

/// A change of a ConfigMap or a Secret makes new pods: their names carry a hash.
#[test]
fn configuration_rolls_pods() {
    check("names of configuration", |workload, build| {
        let mut wrong = Vec::new();
        let mut names = Vec::new();
        named(workload.pod(), &mut names);
        for (kind, name) in names {
            let object = build.objects.iter().find(|object| {
                object.kind() == kind && object.name() == name && object.namespace() == workload.namespace()
            });
            if object.is_none() {
                wrong.push(format!("there is no {kind} {name}"));
            }
            let has_hash = name.rsplit_once('-').is_some_and(|(_, hash)| {
                hash.len() == 10 && hash.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            });
            if !has_hash {
                wrong.push(format!("{kind} {name} has no hash in its name"));
            }
        }
        wrong
    });
}

/// All ConfigMaps and Secrets that a pod names.
fn named<'a>(value: &'a Value, names: &mut Vec<(&'a str, &'a str)>) {
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
                    _ => named(member, names),
                }
            }
        }
        Value::Array(elements) => elements.iter().for_each(|element| named(element, names)),
        _ => {}
    }
}

/// What nothing mounts is left over, or misspelt where it should be mounted.
#[test]
fn configuration_is_used() {
    let Some(builds) = builds("what is mounted") else {
        return;
    };
    let mut wrong = Vec::new();
    for build in &builds {
        let mut used = Vec::new();
        for workload in &build.objects {
            named(workload.pod(), &mut used);
        }
        for object in &build.objects {
            let is_configuration = matches!(object.kind(), "ConfigMap" | "Secret");
            if is_configuration && !used.contains(&(object.kind(), object.name())) {
                wrong.push(format!("{}: nothing uses {object}", build.name));
            }
        }
    }
    none(wrong);
}

/// The passwords of a server, and of each program, and who alone is given them.
const SECRETS: [(&str, &[&str]); 9] = [
    ("postgres", &["postgres"]),
    ("rabbitmq", &["rabbitmq"]),
    ("minio", &["minio", "minio-setup"]),
    ("minio-accounts", &["minio-setup"]),
    ("irmgard", &["irmgard"]),
    ("migrate", &["irmgard-migrate"]),
    ("anonymizer", &["anonymizer"]),
    ("desk", &["desk"]),
    ("sweep", &["irmgard-sweep"]),
];

#[test]
fn passwords_are_given_to_whom_they_are_for() {
    check("who is given which Secret", |workload, _| {
        let mut names = Vec::new();
        named(workload.pod(), &mut names);
        let mut wrong = Vec::new();
        for (_, name) in names.into_iter().filter(|(kind, _)| *kind == "Secret") {
            let begin = name.rsplit_once('-').map_or(name, |(begin, _)| begin);
            let known = SECRETS.iter().find(|(secret, _)| *secret == begin);
            if known.is_some_and(|(_, whose)| !whose.contains(&workload.name())) {
                wrong.push(format!("{begin} is not for it"));
            }
        }
        wrong
    });
}

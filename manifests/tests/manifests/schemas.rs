//! Every object matches the strict schema of Kubernetes 1.34.

use std::{collections::BTreeMap, fs};

use jsonschema::Validator;
use manifests::tools;
use serde_json::{Value, json};

use crate::{assert_no_violations, builds};

/// Definitions by `apiVersion` and `kind`.
struct Schemas {
    definitions: Value,
    names: BTreeMap<(String, String), String>,
}

impl Schemas {
    fn read() -> Self {
        let text = fs::read_to_string(tools::schemas().unwrap()).unwrap();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        let definitions = all["$defs"].take();
        let mut names = BTreeMap::new();
        for (name, definition) in definitions.as_object().unwrap() {
            let kinds = definition["x-kubernetes-group-version-kind"].as_array();
            for kind in kinds.into_iter().flatten() {
                let part = |name: &str| kind[name].as_str().unwrap();
                let version = match part("group") {
                    "" => part("version").to_owned(),
                    group => format!("{group}/{}", part("version")),
                };
                names.insert((version, part("kind").to_owned()), name.clone());
            }
        }
        assert!(
            names.len() > 100,
            "the schemas contain only {} kinds",
            names.len()
        );
        Self { definitions, names }
    }

    fn validator(&self, version: &str, kind: &str) -> Option<Validator> {
        let name = self.names.get(&(version.to_owned(), kind.to_owned()))?;
        let schema = json!({ "$ref": format!("#/$defs/{name}"), "$defs": self.definitions });
        Some(jsonschema::validator_for(&schema).unwrap())
    }
}

#[test]
fn objects_match_their_schemas() {
    let Some(builds) = builds("the schemas of the manifests") else {
        return;
    };
    let schemas = Schemas::read();
    let mut validators = BTreeMap::new();
    let mut violations = Vec::new();
    for build in &builds {
        for object in &build.objects {
            let version = object.at("/apiVersion").as_str().unwrap();
            let validator = validators
                .entry((version, object.kind()))
                .or_insert_with(|| schemas.validator(version, object.kind()));
            match validator {
                None => violations.push(format!(
                    "{}: {object}: Kubernetes has no such object in {version}",
                    build.name
                )),
                Some(validator) => violations.extend(
                    validator
                        .iter_errors(object.value())
                        .map(|error| format!("{}: {object}: {}: {error}", build.name, error.instance_path())),
                ),
            }
        }
    }
    assert_no_violations(violations);
}

#[test]
fn invalid_objects_are_rejected() {
    let schemas = Schemas::read();
    let validator = schemas.validator("apps/v1", "Deployment").unwrap();
    let deployment = |container: Value| {
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "x" },
            "spec": { "selector": {}, "template": { "spec": { "containers": [container] } } },
        })
    };
    assert!(validator.is_valid(&deployment(json!({ "name": "x" }))));
    for container in [
        json!({ "name": "x", "imagePullpolicy": "Always" }),
        json!({ "image": "x" }),
        json!({ "name": "x", "ports": [{ "containerPort": "http" }] }),
    ] {
        assert!(!validator.is_valid(&deployment(container.clone())), "{container}");
    }
}

//! The environment variables of a container.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    Object,
    object::{labels, list_of, text},
};

/// The value of a variable that only a cluster sets.
const PLACEHOLDER: &str = "something";

/// The variables of a container. A value that only the cluster sets is empty.
///
/// # Errors
/// When a ConfigMap does not exist.
pub fn variables(
    container: &Value,
    workload: &Object,
    objects: &[Object],
) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let map = |name: &str| {
        find("ConfigMap", name, workload, objects)
            .with_context(|| format!("{workload}: the ConfigMap {name:?} does not exist"))
    };
    for source in list_of(&container["envFrom"]) {
        all.extend(labels(map(text(&source["configMapRef"]["name"]))?.at("/data")));
    }
    for variable in list_of(&container["env"]) {
        let from = &variable["valueFrom"]["configMapKeyRef"];
        let value = if from.is_null() {
            text(&variable["value"])
        } else {
            let key = text(&from["key"]);
            let value = &map(text(&from["name"]))?.at("/data")[key];
            value
                .as_str()
                .with_context(|| format!("{workload}: its ConfigMap has no key {key}"))?
        };
        all.insert(text(&variable["name"]).to_owned(), value.to_owned());
    }
    Ok(all)
}

/// The variables as the program gets them. Mounted files are copied to `scratch`, and each `NAME_FILE` names its copy. Secrets are
/// those of the build.
///
/// # Errors
/// When a variable names a file that is not mounted.
pub fn resolved_variables(
    container: &Value,
    workload: &Object,
    objects: &[Object],
    scratch: &Path,
) -> Result<BTreeMap<String, String>> {
    let mut all = variables(container, workload, objects)?;
    for (name, value) in &mut all {
        if value.is_empty() {
            PLACEHOLDER.clone_into(value);
        }
        if !name.ends_with("_FILE") {
            continue;
        }
        let content = mounted_file(value, container, workload, objects)
            .with_context(|| format!("{workload}: {name}: nothing is mounted at {value}"))?;
        let file = scratch.join(name);
        fs::write(&file, content)?;
        *value = file.display().to_string();
    }
    Ok(all)
}

/// The content of a mounted file. `None` when nothing is mounted at the path, or when the content is not text.
#[must_use]
pub fn mounted_file(path: &str, container: &Value, workload: &Object, objects: &[Object]) -> Option<String> {
    let (folder, key) = path.rsplit_once('/')?;
    let mount = list_of(&container["volumeMounts"])
        .iter()
        .find(|mount| mount["mountPath"] == folder)?;
    let volume = list_of(&workload.pod()["volumes"])
        .iter()
        .find(|volume| volume["name"] == mount["name"])?;
    let find = |kind: &str, name: &Value| find(kind, text(name), workload, objects);
    if !volume["secret"].is_null() {
        let secret = find("Secret", &volume["secret"]["secretName"])?;
        return decoded(text(&secret.at("/data")[key]));
    }
    let map = find("ConfigMap", &volume["configMap"]["name"])?;
    map.at("/data")[key].as_str().map(str::to_owned)
}

/// The text of a value in base64. `None` if it is invalid or empty.
fn decoded(base64: &str) -> Option<String> {
    // kustomize breaks long values into lines.
    let digits: String = base64.split_ascii_whitespace().collect();
    let bytes = STANDARD.decode(digits).ok()?;
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn find<'a>(kind: &str, name: &str, workload: &Object, objects: &'a [Object]) -> Option<&'a Object> {
    objects.iter().find(|object| {
        object.kind() == kind && object.name() == name && object.namespace() == workload.namespace()
    })
}

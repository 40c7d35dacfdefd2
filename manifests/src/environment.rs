//! What a container's program finds in its environment.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    Object,
    object::{labels, list_of, text},
};

/// Stands for what only a cluster knows.
const SOMETHING: &str = "something";

/// A container's variables with their values. Those whose value only the cluster knows have an empty one.
///
/// # Errors
/// When a ConfigMap is not there.
pub fn variables(
    container: &Value,
    workload: &Object,
    objects: &[Object],
) -> Result<BTreeMap<String, String>> {
    let mut all = BTreeMap::new();
    let map = |name: &str| {
        find("ConfigMap", name, workload, objects)
            .with_context(|| format!("{workload}: there is no ConfigMap {name:?}"))
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
                .with_context(|| format!("{workload}: there is no {key} in its ConfigMap"))?
        };
        all.insert(text(&variable["name"]).to_owned(), value.to_owned());
    }
    Ok(all)
}

/// The same as its program would find it: what is mounted lies in `scratch`, and each `NAME_FILE` names it there. Secrets are those
/// that were drawn for the build.
///
/// # Errors
/// When a file is named that is not mounted.
pub fn as_found(
    container: &Value,
    workload: &Object,
    objects: &[Object],
    scratch: &Path,
) -> Result<BTreeMap<String, String>> {
    let mut all = variables(container, workload, objects)?;
    for (name, value) in &mut all {
        if value.is_empty() {
            SOMETHING.clone_into(value);
        }
        if !name.ends_with("_FILE") {
            continue;
        }
        let held = mounted(value, container, workload, objects)
            .with_context(|| format!("{workload}: {name}: nothing is mounted at {value}"))?;
        let file = scratch.join(name);
        fs::write(&file, held)?;
        *value = file.display().to_string();
    }
    Ok(all)
}

/// What a mounted file holds; None when nothing is mounted there, or no text.
#[must_use]
pub fn mounted(path: &str, container: &Value, workload: &Object, objects: &[Object]) -> Option<String> {
    let (folder, key) = path.rsplit_once('/')?;
    let mount = list_of(&container["volumeMounts"])
        .iter()
        .find(|mount| mount["mountPath"] == folder)?;
    let volume = list_of(&workload.pod()["volumes"])
        .iter()
        .find(|volume| volume["name"] == mount["name"])?;
    let of = |kind: &str, name: &Value| find(kind, text(name), workload, objects);
    if !volume["secret"].is_null() {
        let secret = of("Secret", &volume["secret"]["secretName"])?;
        return decoded(text(&secret.at("/data")[key]));
    }
    let map = of("ConfigMap", &volume["configMap"]["name"])?;
    map.at("/data")[key].as_str().map(str::to_owned)
}

/// The text behind base64 (RFC 4648); None where it is none, or empty.
fn decoded(base64: &str) -> Option<String> {
    let (mut bits, mut known) = (0_u32, 0);
    let mut bytes = Vec::new();
    // kustomize breaks long ones into lines.
    let digits = base64
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace() && *byte != b'=');
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        known += 6;
        if known >= 8 {
            known -= 8;
            bytes.push(((bits >> known) & 0xff) as u8);
        }
    }
    String::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

fn find<'a>(kind: &str, name: &str, workload: &Object, objects: &'a [Object]) -> Option<&'a Object> {
    objects.iter().find(|object| {
        object.kind() == kind && object.name() == name && object.namespace() == workload.namespace()
    })
}

//! The pod of the process, from the downward API.

use std::{collections::BTreeMap, fmt::Write as _};

use schema::{environment, label};

use crate::line::json;

/// Maximum length of the block, bytes; it is in every line.
const MAX_BLOCK_BYTES: usize = 4096;

/// Bytes of one name or value; Kubernetes allows 253 + 1 + 63 for the name of a label and less for all others.
const MAX_TEXT_BYTES: usize = 317;

/// The member `kubernetes` of each line, `"kubernetes":{…}`; empty outside a
/// cluster, where no variable of [`schema::environment`] is set.
pub(crate) fn block(env: &dyn Fn(&str) -> Option<String>) -> String {
    let fields = [
        ("namespace", environment::NAMESPACE),
        ("pod", environment::POD_NAME),
        ("pod_uid", environment::POD_UID),
        ("container", environment::CONTAINER_NAME),
        ("node", environment::NODE_NAME),
    ];
    let values: Vec<_> = fields
        .into_iter()
        .filter_map(|(name, variable)| Some((name, env(variable).filter(|value| !value.is_empty())?)))
        .collect();
    let labels = labels(env);
    if values.is_empty() && labels.is_empty() {
        return String::new();
    }
    let mut out = String::from("\"kubernetes\":{");
    let mut separator = "";
    for (name, value) in &values {
        let _ = write!(out, "{separator}\"{name}\":");
        json::short(&mut out, value, MAX_TEXT_BYTES);
        separator = ",";
    }
    if !labels.is_empty() {
        let _ = write!(out, "{separator}\"labels\":");
        write_labels(&mut out, &labels);
    }
    out.push('}');
    out
}

/// Writes the labels as an object, this project's first, until the block is full.
fn write_labels(out: &mut String, labels: &BTreeMap<String, String>) {
    let first = label::ALL
        .into_iter()
        .filter_map(|name| labels.get_key_value(name));
    let others = labels
        .iter()
        .filter(|(name, _)| !label::ALL.contains(&name.as_str()) && is_label_name(name));
    out.push('{');
    let mut separator = "";
    let mut member = String::new();
    for (name, value) in first.chain(others) {
        member.clear();
        member.push_str(separator);
        json::short(&mut member, name, MAX_TEXT_BYTES);
        member.push(':');
        json::short(&mut member, value, MAX_TEXT_BYTES);
        if out.len() + member.len() + 2 > MAX_BLOCK_BYTES {
            continue;
        }
        out.push_str(&member);
        separator = ",";
    }
    out.push('}');
}

/// Whether the name has only the characters that Kubernetes allows.
fn is_label_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'/' | b'_' | b'-');
    (1..=MAX_TEXT_BYTES).contains(&name.len()) && name.bytes().all(allowed)
}

/// Labels from the downward volume's file, else from the variable.
fn labels(env: &dyn Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let file = env(environment::LABELS_FILE).unwrap_or_else(|| environment::DEFAULT_LABELS_FILE.to_owned());
    match std::fs::read_to_string(file) {
        Ok(lines) => lines.lines().filter_map(label_of_line).collect(),
        Err(_) => env(environment::POD_LABELS)
            .unwrap_or_default()
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
            .collect(),
    }
}

/// Reads `name="value"`, the value quoted as in Go (`%q`). A label's value holds letters, digits, `-`, `_` and `.`
/// only, so there is nothing to unescape in one that Kubernetes took.
fn label_of_line(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once('=')?;
    let value = value.trim();
    let value = value
        .strip_prefix('"')
        .and_then(|value| value.strip_suffix('"'))
        .unwrap_or(value);
    Some((name.trim().to_owned(), value.to_owned()))
}

//! Differences between current and desired objects.

use serde_json::{Map, Value};

/// Whether `current` contains all values of `desired`. OpenSearch adds defaults, and returns numbers and booleans as
/// text.
pub(super) fn contains(current: &Value, desired: &Value) -> bool {
    match (current, desired) {
        (Value::Object(current), Value::Object(desired)) => desired
            .iter()
            .all(|(name, value)| current.get(name).is_some_and(|current| contains(current, value))),
        (Value::Array(current), Value::Array(desired)) => {
            current.len() == desired.len()
                && current
                    .iter()
                    .zip(desired)
                    .all(|(current, desired)| contains(current, desired))
        }
        (Value::Object(_) | Value::Array(_), _) | (_, Value::Object(_) | Value::Array(_)) => false,
        (current, desired) => text(current) == text(desired),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The fields that a mapping's `properties` lack. OpenSearch accepts new fields at any time.
pub(super) fn new_fields(current: &Value, desired: &Value) -> Map<String, Value> {
    let mut new = Map::new();
    let nothing = Map::new();
    let current = current
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&nothing);
    for (name, field) in desired
        .get("properties")
        .and_then(Value::as_object)
        .unwrap_or(&nothing)
    {
        match current.get(name) {
            None => {
                new.insert(name.clone(), field.clone());
            }
            // Both are objects. OpenSearch cannot turn a field into an object or back.
            Some(known) if known.get("properties").is_some() && field.get("properties").is_some() => {
                let inner = new_fields(known, field);
                if !inner.is_empty() {
                    new.insert(name.clone(), serde_json::json!({ "properties": inner }));
                }
            }
            Some(_) => {}
        }
    }
    new
}

/// The dotted names of the fields in `properties`.
pub(super) fn names(properties: &Map<String, Value>) -> Vec<String> {
    let mut all = Vec::new();
    for (name, field) in properties {
        match field.get("properties").and_then(Value::as_object) {
            Some(inner) => all.extend(names(inner).into_iter().map(|rest| format!("{name}.{rest}"))),
            None => all.push(name.clone()),
        }
    }
    all
}

/// Settings with dotted names, as `?flat_settings=true` returns them.
pub(super) fn flat_settings(settings: &Value) -> Vec<(String, Value)> {
    fn walk(prefix: &str, value: &Value, all: &mut Vec<(String, Value)>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let name = if prefix.is_empty() {
                        name.clone()
                    } else {
                        format!("{prefix}.{name}")
                    };
                    walk(&name, value, all);
                }
            }
            value => all.push((prefix.to_owned(), value.clone())),
        }
    }
    let mut all = Vec::new();
    walk("", settings, &mut all);
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn server_defaults_are_no_difference() {
        let desired =
            json!({ "dynamic": false, "properties": { "a": { "type": "long" } }, "list": ["x", 1] });
        let current = json!({
            "dynamic": "false", "properties": { "a": { "type": "long", "doc_values": true }, "b": {} },
            "list": ["x", "1"],
        });
        assert!(contains(&current, &desired));
        assert!(!contains(&desired, &current));
        assert!(!contains(
            &json!({ "list": ["x", "1", "2"] }),
            &json!({ "list": ["x", "1"] })
        ));
        assert!(!contains(
            &json!({ "a": { "b": 1 } }),
            &json!({ "a": "{\"b\":1}" })
        ));
    }

    #[test]
    fn only_unknown_fields_are_new() {
        let current = json!({ "properties": {
            "a": { "type": "long" }, "o": { "properties": { "x": { "type": "long" } } }, "s": { "type": "long" },
        }});
        let desired = json!({ "properties": {
            "a": { "type": "keyword" }, "b": { "type": "long" },
            "o": { "properties": { "x": { "type": "keyword" }, "y": { "type": "long" } } },
            "s": { "properties": { "z": { "type": "long" } } },
        }});
        let new = new_fields(&current, &desired);
        assert_eq!(names(&new), ["b", "o.y"]);
    }

    #[test]
    fn dotted_setting_names_are_compared() {
        let flat =
            flat_settings(&json!({ "index": { "codec": "x", "mapping": { "ignore_malformed": "true" } } }));
        let names: Vec<_> = flat.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["index.codec", "index.mapping.ignore_malformed"]);
    }
}

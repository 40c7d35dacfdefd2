//! Checks that `opensearch/mappings.json` matches `logging/schema`, and that a change of the installed objects
//! increases the version. `make generate` writes both.

#![expect(clippy::unwrap_used, reason = "a test fails with a panic")]

use std::fs;
use std::path::{Path, PathBuf};

use schema::{FIELDS, FieldKind, MAX_TERM_BYTES, field, label};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../opensearch")
        .join(name)
}

fn keyword() -> Value {
    json!({ "type": "keyword", "ignore_above": MAX_TERM_BYTES })
}

fn mapping(field: &schema::Field) -> Value {
    match field.kind {
        FieldKind::Keyword | FieldKind::Keywords => keyword(),
        // The subfield excludes longer texts, because Lucene terms have a maximum length. `doc_values` has its default,
        // which OpenSearch shows.
        FieldKind::Text if field.name == field::MESSAGE => json!({
            "type": "text", "norms": false,
            "fields": { "wildcard": { "type": "wildcard", "ignore_above": MAX_TERM_BYTES, "doc_values": true } },
        }),
        FieldKind::Text => json!({ "type": "text", "norms": false }),
        FieldKind::KeywordMap => {
            let labels: Map<String, Value> = label::ALL
                .iter()
                .map(|name| (label::stored(name).unwrap(), keyword()))
                .collect();
            json!({ "dynamic": false, "properties": labels })
        }
        kind => json!({ "type": kind.name() }),
    }
}

fn place(properties: &mut Map<String, Value>, name: &str, mapping: Value) {
    match name.split_once('.') {
        None => {
            properties.insert(name.into(), mapping);
        }
        Some((first, rest)) => {
            let object = properties
                .entry(first)
                .or_insert_with(|| json!({ "properties": {} }));
            place(object["properties"].as_object_mut().unwrap(), rest, mapping);
        }
    }
}

fn rendered() -> String {
    let mut properties = Map::new();
    for field in FIELDS {
        place(&mut properties, field.name, mapping(field));
    }
    let body = json!({ "template": { "mappings": { "dynamic": false, "properties": properties } } });
    format!("{body:#}\n")
}

#[test]
fn mappings_equal_the_schema() {
    let path = file("mappings.json");
    if std::env::var_os("UPDATE").is_some() {
        fs::write(&path, rendered()).unwrap();
        write_version();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == rendered(),
        "opensearch/mappings.json is out of date: run `make generate`"
    );
    assert!(
        version_file()["sha256"] == checksum(),
        "the installed objects changed without a new version: run `make generate`"
    );
}

fn version_file() -> Value {
    serde_json::from_str(&fs::read_to_string(file("version.json")).unwrap()).unwrap()
}

/// Covers all installed objects, except for the version itself.
fn checksum() -> String {
    let mut sum = Sha256::new();
    for name in ["mappings.json", "settings.json", "pipeline.json", "roles.json"] {
        let body: Value = serde_json::from_str(&fs::read_to_string(file(name)).unwrap()).unwrap();
        sum.update(body.to_string());
    }
    for piece in logq::admin::managed_objects().unwrap() {
        if piece.kind == logq::admin::ObjectKind::IndexTemplate {
            let mut body = piece.body;
            body.as_object_mut().unwrap().remove("version");
            sum.update(body.to_string());
        }
    }
    hex::encode(sum.finalize())
}

fn write_version() {
    let recorded = version_file();
    if recorded["sha256"] != checksum() {
        let version = recorded["version"].as_u64().unwrap() + 1;
        let new = json!({ "version": version, "sha256": checksum() });
        fs::write(file("version.json"), format!("{new:#}\n")).unwrap();
    }
}

/// OpenSearch limits the number of fields, and rejects documents beyond it.
#[test]
fn field_limit_leaves_room_for_custom_fields() {
    assert!(
        FIELDS.len() + label::ALL.len() < 300,
        "OpenSearch's limit is 1000, objects included"
    );
}

//! What the plugins know of the names of fields is what `logging/schema` says.

use anyhow::Result;
use serde_json::{Map, Value, json};

/// `UPDATE=1 cargo test -p fluentd --test schema` writes it.
#[test]
fn schema_json_is_made_of_the_schema() -> Result<()> {
    let fields: Map<String, Value> = schema::FIELDS
        .iter()
        .map(|field| (field.name.to_owned(), format!("{:?}", field.kind).into()))
        .collect();
    let streams: Vec<&str> = schema::component::ALL
        .into_iter()
        .filter(|component| schema::stream::of(component) != schema::stream::OTHER)
        .collect();
    let made = format!("{:#}\n", json!({"fields": fields, "streams": streams}));

    let path = fluentd::folder().join("plugins/irmgard/schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made)?;
    }
    let file = std::fs::read_to_string(&path)?;
    assert_eq!(
        file, made,
        "UPDATE=1 cargo test -p fluentd --test schema writes it anew"
    );
    Ok(())
}

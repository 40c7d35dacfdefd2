//! The index pattern: the fields of the schema in the format of Dashboards.

use schema::{FIELDS, FieldKind, field, label};
use serde_json::{Map, Value, json};

use crate::{
    json_string,
    source::{DashboardSourceError, IndexPattern, ValueFormat},
};

/// A field in the pattern's list.
struct PatternField {
    name: String,
    /// The names of the type in Dashboards and in OpenSearch.
    types: (&'static str, &'static str),
    aggregatable: bool,
    /// The field of which this is a sub-field.
    parent: Option<&'static str>,
}

impl PatternField {
    fn new(name: impl Into<String>, kind: FieldKind) -> Self {
        let (shown, aggregatable) = match kind {
            FieldKind::Keyword | FieldKind::Keywords | FieldKind::KeywordMap => ("string", true),
            // OpenSearch accepts aggregations of a flat object and returns wrong results.
            FieldKind::Text | FieldKind::FlatObject => ("string", false),
            FieldKind::Date | FieldKind::DateNanos => ("date", true),
            FieldKind::Long | FieldKind::Double => ("number", true),
            FieldKind::Boolean => ("boolean", true),
        };
        let stored = if kind == FieldKind::KeywordMap {
            "keyword"
        } else {
            kind.name()
        };
        Self {
            name: name.into(),
            types: (shown, stored),
            aggregatable,
            parent: None,
        }
    }

    fn json(&self) -> Value {
        let mut listed = json!({
            "count": 0, "name": self.name, "type": self.types.0, "esTypes": [self.types.1], "scripted": false,
            "searchable": true, "aggregatable": self.aggregatable, "readFromDocValues": self.aggregatable,
        });
        if let Some(parent) = self.parent {
            listed["subType"] = json!({ "multi": { "parent": parent } });
        }
        listed
    }
}

/// The metadata fields of every document.
fn metadata_fields() -> [Value; 4] {
    let of = |name: &str, kind: &str, found: bool| {
        json!({
            "count": 0, "name": name, "type": kind, "esTypes": [name], "scripted": false,
            "searchable": found, "aggregatable": found, "readFromDocValues": false,
        })
    };
    let score = json!({
        "count": 0, "name": "_score", "type": "number", "scripted": false,
        "searchable": false, "aggregatable": false, "readFromDocValues": false,
    });
    [
        of("_id", "string", true),
        of("_index", "string", true),
        score,
        of("_source", "_source", false),
    ]
}

fn fields() -> Vec<PatternField> {
    let mut all = Vec::new();
    for field in FIELDS {
        if field.kind == FieldKind::KeywordMap {
            let labels = label::ALL.iter().filter_map(|name| label::stored(name));
            all.extend(labels.map(|name| PatternField::new(format!("{}.{name}", field.name), field.kind)));
        } else {
            all.push(PatternField::new(field.name, field.kind));
        }
        if field.name == field::MESSAGE {
            all.push(PatternField {
                name: format!("{}.wildcard", field::MESSAGE),
                types: ("string", "wildcard"),
                aggregatable: true,
                parent: Some(field::MESSAGE),
            });
        }
    }
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

/// Whether OpenSearch can aggregate by this field. `None` if the field does not exist.
#[must_use]
pub(crate) fn aggregatable(name: &str) -> Option<bool> {
    fields()
        .iter()
        .find(|listed| listed.name == name)
        .map(|listed| listed.aggregatable)
}

/// Fails if a field does not exist, or cannot be aggregated although it must.
pub(crate) fn check_field(
    location: &str,
    name: &str,
    must_aggregate: bool,
) -> Result<(), DashboardSourceError> {
    match aggregatable(name) {
        Some(can_aggregate) if can_aggregate || !must_aggregate => Ok(()),
        _ => Err(DashboardSourceError::UnknownField {
            location: if must_aggregate {
                format!("{location} (to aggregate by)")
            } else {
                location.to_owned()
            },
            field: name.to_owned(),
        }),
    }
}

pub(crate) fn object(pattern: &IndexPattern) -> Result<Value, DashboardSourceError> {
    let mut formats = Map::new();
    for (field, format) in &pattern.formats {
        check_field("pattern, formats", field, false)?;
        let format = match format {
            ValueFormat::Number(pattern) => json!({ "id": "number", "params": { "pattern": pattern } }),
            ValueFormat::Link(address) => json!({ "id": "url", "params": {
                "type": "a", "urlTemplate": address, "labelTemplate": "{{value}}", "openLinkInCurrentTab": true,
            } }),
        };
        formats.insert(field.clone(), format);
    }
    let fields: Vec<Value> = metadata_fields()
        .into_iter()
        .chain(fields().iter().map(PatternField::json))
        .collect();
    Ok(json!({
        "id": pattern.id,
        "type": "index-pattern",
        "attributes": {
            "title": pattern.title,
            "timeFieldName": pattern.time_field,
            "fields": json_string(&fields.into()),
            "fieldFormatMap": json_string(&formats.into()),
        },
        "references": [],
        "migrationVersion": { "index-pattern": "7.6.0" },
    }))
}

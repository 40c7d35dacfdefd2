//! The index pattern: the fields of the schema as Dashboards knows them.

use schema::{FIELDS, Kind, field, label};
use serde_json::{Map, Value, json};

use crate::{
    source::{Format, Pattern, SourceError},
    text_of,
};

/// A field as the pattern lists it.
struct Listed {
    name: String,
    /// The type's name in Dashboards, and in OpenSearch.
    types: (&'static str, &'static str),
    aggregatable: bool,
    /// The field that it is another form of.
    parent: Option<&'static str>,
}

impl Listed {
    fn new(name: impl Into<String>, kind: Kind) -> Self {
        let (shown, aggregatable) = match kind {
            Kind::Keyword | Kind::Keywords | Kind::KeywordMap => ("string", true),
            // OpenSearch says yes to aggregations of a flat object, and answers with rubbish.
            Kind::Text | Kind::FlatObject => ("string", false),
            Kind::Date | Kind::DateNanos => ("date", true),
            Kind::Long | Kind::Double => ("number", true),
            Kind::Boolean => ("boolean", true),
        };
        let stored = if kind == Kind::KeywordMap {
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

/// What every document has beside its fields, as Dashboards lists it.
fn of_every_document() -> [Value; 4] {
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

fn listed() -> Vec<Listed> {
    let mut all = Vec::new();
    for field in FIELDS {
        if field.kind == Kind::KeywordMap {
            let labels = label::ALL.iter().filter_map(|name| label::stored(name));
            all.extend(labels.map(|name| Listed::new(format!("{}.{name}", field.name), field.kind)));
        } else {
            all.push(Listed::new(field.name, field.kind));
        }
        if field.name == field::MESSAGE {
            all.push(Listed {
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

/// Whether OpenSearch can gather by this field; None where there is no such
/// field.
#[must_use]
pub(crate) fn aggregatable(name: &str) -> Option<bool> {
    listed()
        .iter()
        .find(|listed| listed.name == name)
        .map(|listed| listed.aggregatable)
}

/// Complains of a field that is not there, or cannot be gathered by.
pub(crate) fn checked(of: &str, name: &str, gathered: bool) -> Result<(), SourceError> {
    match aggregatable(name) {
        Some(can) if can || !gathered => Ok(()),
        _ => Err(SourceError::UnknownField {
            of: if gathered {
                format!("{of} (to gather by)")
            } else {
                of.to_owned()
            },
            field: name.to_owned(),
        }),
    }
}

pub(crate) fn object(pattern: &Pattern) -> Result<Value, SourceError> {
    let mut formats = Map::new();
    for (field, format) in &pattern.formats {
        checked("pattern, formats", field, false)?;
        let format = match format {
            Format::Number(pattern) => json!({ "id": "number", "params": { "pattern": pattern } }),
            Format::Link(address) => json!({ "id": "url", "params": {
                "type": "a", "urlTemplate": address, "labelTemplate": "{{value}}", "openLinkInCurrentTab": true,
            } }),
        };
        formats.insert(field.clone(), format);
    }
    let fields: Vec<Value> = of_every_document()
        .into_iter()
        .chain(listed().iter().map(Listed::json))
        .collect();
    Ok(json!({
        "id": pattern.id,
        "type": "index-pattern",
        "attributes": {
            "title": pattern.title,
            "timeFieldName": pattern.time_field,
            "fields": text_of(&fields.into()),
            "fieldFormatMap": text_of(&formats.into()),
        },
        "references": [],
        "migrationVersion": { "index-pattern": "7.6.0" },
    }))
}

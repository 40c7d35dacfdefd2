//! Selects the fields to show.

use log_normalizer::Document;
use serde_json::{Map, Value};

use crate::filter::Glob;

#[derive(Debug, thiserror::Error)]
#[error("--{option}: invalid field name {name:?}: {why}")]
pub struct FieldsError {
    option: &'static str,
    name: String,
    why: String,
}

/// The fields to show.
#[derive(Clone, Debug, Default)]
pub struct FieldSelection {
    only: Vec<Glob>,
    hidden: Vec<Glob>,
}

impl FieldSelection {
    /// Parses field names with the wildcard `*`. The name of an object selects all its fields.
    ///
    /// # Errors
    /// [`FieldsError`].
    pub fn new(only: &[String], hidden: &[String]) -> Result<Self, FieldsError> {
        let globs = |option, names: &[String]| {
            names
                .iter()
                .map(|name| name.trim())
                .filter(|name| !name.is_empty())
                .flat_map(|name| [name.to_owned(), format!("{name}.*")])
                .map(|name| {
                    Glob::new(&name).map_err(|error| FieldsError {
                        option,
                        why: error.to_string(),
                        name,
                    })
                })
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            only: globs("fields", only)?,
            hidden: globs("hide", hidden)?,
        })
    }

    /// Whether the user listed the fields to show.
    #[must_use]
    pub const fn has_explicit_fields(&self) -> bool {
        !self.only.is_empty()
    }

    #[must_use]
    pub const fn shows_everything(&self) -> bool {
        self.only.is_empty() && self.hidden.is_empty()
    }

    #[must_use]
    pub fn hides(&self, name: &str) -> bool {
        self.hidden.iter().any(|glob| glob.is_match(name))
    }

    #[must_use]
    pub fn shows(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|glob| glob.is_match(name))) && !self.hides(name)
    }

    /// The selected fields as JSON.
    #[must_use]
    pub fn json(&self, document: &Document) -> String {
        if self.shows_everything() {
            return document.to_json();
        }
        serde_json::to_string(&self.select(document.members(), "")).unwrap_or_default()
    }

    fn select(&self, members: &Map<String, Value>, prefix: &str) -> Map<String, Value> {
        let fields = members.iter().filter_map(|(key, value)| {
            let name = format!("{prefix}{key}");
            let value = match value {
                Value::Object(members) if !members.is_empty() => {
                    let inner = self.select(members, &format!("{name}."));
                    (!inner.is_empty()).then_some(Value::Object(inner))
                }
                value => self.shows(&name).then(|| value.clone()),
            };
            Some((key.clone(), value?))
        });
        fields.collect()
    }
}

/// Calls `take` with each leaf value and its dotted name, in name order.
pub fn for_each_field<'d>(document: &'d Document, take: &mut dyn FnMut(&str, &'d Value)) {
    walk_fields(document.members(), &mut String::new(), take);
}

fn walk_fields<'d>(
    members: &'d Map<String, Value>,
    name: &mut String,
    take: &mut dyn FnMut(&str, &'d Value),
) {
    for (key, value) in members {
        let length = name.len();
        name.push_str(key);
        match value {
            Value::Object(members) => {
                name.push('.');
                walk_fields(members, name, take);
            }
            value => take(name, value),
        }
        name.truncate(length);
    }
}

//! Unknown field names and suggestions.

use schema::{FIELDS, FieldKind, field, level};

use super::ShowOptions;
use crate::{
    filter::{Filter, Glob},
    query::{Criterion, Query},
    suggestion::nearest,
};

/// Notes about unknown names that would otherwise change nothing silently: in `--fields`, `--hide`, and negated
/// conditions.
#[must_use]
pub fn unknown_field_notes(show: &ShowOptions, query: &Query) -> Vec<String> {
    let mut notes = Vec::new();
    for (option, names) in [("--fields", &show.fields), ("--hide", &show.hide)] {
        for name in names.iter().map(|name| name.trim()) {
            if !name.is_empty() && !may_exist(name) {
                notes.push(format!(
                    "{option}: no field {name}{}",
                    suggestion_or_fields_path(name)
                ));
            }
        }
    }
    for criterion in &query.criteria {
        let Criterion::Condition {
            field,
            typed,
            filter: Filter::Not(filter),
        } = criterion
        else {
            continue;
        };
        if !is_field(field) {
            notes.push(format!(
                "-f {typed}: no field {field}{}",
                suggestion_or_fields_path(field)
            ));
        } else if let Filter::Equals(_, value) = filter.as_ref()
            && field == field::LEVEL
            && !level::ALL.contains(&value.text())
        {
            let suggestion = suggest_alternatives(field, "!~=", value.text()).unwrap_or_default();
            notes.push(format!("-f {typed}: no level {value}{suggestion}"));
        }
    }
    notes
}

/// Suggests a pattern if a value looks like a list of values.
#[must_use]
pub fn suggest_alternatives(field: &str, operator: &str, value: &str) -> Option<String> {
    let values = value.split([',', '|']).map(str::trim);
    let values: Vec<String> = values
        .filter(|value| !value.is_empty())
        .map(regex::escape)
        .collect();
    if values.len() < 2 {
        return None;
    }
    let condition = format!("{field}{operator}^({})$", values.join("|"));
    // Quote for a shell.
    let condition = condition.replace('\'', r"'\''");
    Some(format!("; to match several write -f '{condition}'"))
}

/// "; did you mean …?", or an empty text.
#[must_use]
pub fn suggestion(name: &str) -> String {
    similar_field(name).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The same, or the path of a member that other programs log.
fn suggestion_or_fields_path(name: &str) -> String {
    let suggestion = suggestion(name);
    if suggestion.is_empty() && !name.contains(WILDCARDS) {
        return format!(
            "; for {name} of other programs use {}.{name}",
            field::FIELDS_OTHER
        );
    }
    suggestion
}

/// A similar field: with the same last part, or a similar name.
#[must_use]
pub fn similar_field(typed: &str) -> Option<String> {
    if is_field(typed) {
        return None;
    }
    let names = || {
        FIELDS
            .iter()
            .map(|known| known.name)
            .filter(|name| *name != typed)
    };
    let end = names().find(|name| name.strip_suffix(typed).is_some_and(|rest| rest.ends_with('.')));
    let lower = typed.to_lowercase();
    let other = || SYNONYMS.iter().find(|(name, _)| *name == lower);
    end.or_else(|| other().map(|(_, trace_line)| *trace_line))
        .or_else(|| nearest(&lower, names()))
        .map(str::to_owned)
}

/// Names that other programs use for common fields.
const SYNONYMS: [(&str, &str); 5] = [
    ("msg", field::MESSAGE),
    ("time", field::TIMESTAMP),
    ("ts", field::TIMESTAMP),
    ("lvl", field::LEVEL),
    ("severity", field::LEVEL),
];

/// Whether the schema contains a field or object of this name.
#[must_use]
pub fn is_field(name: &str) -> bool {
    FIELDS.iter().any(|known| {
        known.name == name
            || is_within(known.name, name)
            || (is_open(known.kind) && is_within(name, known.name))
    })
}

const WILDCARDS: [char; 2] = ['*', '?'];

/// The same for a name with [`WILDCARDS`].
fn may_exist(name: &str) -> bool {
    let Some((begin, _)) = name.split_once(WILDCARDS) else {
        return is_field(name);
    };
    let fits = |glob: &Glob| FIELDS.iter().any(|known| glob.is_match(known.name));
    let is_within_open = |known: &&schema::Field| is_open(known.kind) && is_within(begin, known.name);
    FIELDS.iter().any(|known| is_within_open(&known))
        || [name.to_owned(), format!("{name}.*")]
            .iter()
            .any(|name| Glob::new(name).is_ok_and(|glob| fits(&glob)))
}

fn is_within(name: &str, object: &str) -> bool {
    name.strip_prefix(object)
        .is_some_and(|rest| rest.starts_with('.'))
}

/// Whether the schema does not define the names in an object.
const fn is_open(kind: FieldKind) -> bool {
    matches!(kind, FieldKind::FlatObject | FieldKind::KeywordMap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_fields_are_recognized() {
        for name in [
            "level",
            "photo.id",
            "photo",
            "fields.anything",
            "fields",
            "kubernetes.labels.tier",
        ] {
            assert!(is_field(name), "{name}");
        }
        for name in ["levl", "photo.idd", "phot", "fieldsx"] {
            assert!(!is_field(name), "{name}");
        }
    }

    #[test]
    fn patterns_exist_if_a_field_matches() {
        for name in [
            "*",
            "*_seconds",
            "photo*",
            "ph?to",
            "fields.a*",
            "kubernetes.labels.*tier",
            "http.*.method",
        ] {
            assert!(may_exist(name), "{name}");
        }
        for name in ["x*", "level?", "foto.*", "photo.x*"] {
            assert!(!may_exist(name), "{name}");
        }
    }

    #[test]
    fn alternatives_are_suggested_as_a_pattern() {
        for (value, pattern) in [
            ("warn", None),
            ("warn,", None),
            ("warn,error", Some("level~=^(warn|error)$")),
            (" a.b | c ", Some(r"level~=^(a\.b|c)$")),
        ] {
            let expected = pattern.map(|condition| format!("; to match several write -f '{condition}'"));
            assert_eq!(suggest_alternatives("level", "~=", value), expected, "{value}");
        }
    }

    #[test]
    fn mistyped_fields_are_suggested() {
        for (typed, suggestion) in [
            ("levl", Some("level")),
            ("Level", Some("level")),
            ("msg", Some("message")),
            ("http_route", Some("http.route")),
            ("lvl", Some("level")),
            ("status_code", Some("http.response.status_code")),
            ("trace", Some("trace_id")),
            ("zzz", None),
            // The name is correct; only no line has it.
            ("tags", None),
            ("outbox.oldest_age_seconds", None),
        ] {
            assert_eq!(similar_field(typed).as_deref(), suggestion, "{typed}");
        }
    }
}

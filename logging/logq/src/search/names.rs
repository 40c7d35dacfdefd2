//! Names of fields: which there are, and which was probably meant.

use schema::{FIELDS, Kind, field, level};

use crate::{
    cli::Show,
    config::nearest,
    filter::{Filter, Glob},
    plan::{Wanted, Wish},
};

/// What is said of names that the schema does not have where they change nothing: in `--fields` and `--hide`, and in
/// conditions that hold for lines without the field.
#[must_use]
pub fn unknown(show: &Show, wanted: &Wanted) -> Vec<String> {
    let mut told = Vec::new();
    for (option, names) in [("--fields", &show.fields), ("--hide", &show.hide)] {
        for name in names.iter().map(|name| name.trim()) {
            if !name.is_empty() && !may_be_known(name) {
                told.push(format!(
                    "{option}: there is no field {name}{}",
                    meant_or_other(name)
                ));
            }
        }
    }
    for wish in &wanted.wishes {
        let Wish::Condition {
            field,
            typed,
            filter: Filter::Not(filter),
        } = wish
        else {
            continue;
        };
        if !is_known(field) {
            told.push(format!(
                "-f {typed}: there is no field {field}{}",
                meant_or_other(field)
            ));
        } else if let Filter::Is(_, value) = filter.as_ref()
            && field == field::LEVEL
            && !level::ALL.contains(&value.text())
        {
            let meant = several(field, "!~=", value.text()).unwrap_or_default();
            told.push(format!("-f {typed}: there is no level {value}{meant}"));
        }
    }
    told
}

/// How one of several values is asked for, where a value looks like several.
#[must_use]
pub fn several(field: &str, operator: &str, value: &str) -> Option<String> {
    let values = value.split([',', '|']).map(str::trim);
    let values: Vec<String> = values
        .filter(|value| !value.is_empty())
        .map(regex::escape)
        .collect();
    if values.len() < 2 {
        return None;
    }
    let condition = format!("{field}{operator}^({})$", values.join("|"));
    // As a shell takes it.
    let condition = condition.replace('\'', r"'\''");
    Some(format!("; for one of several write -f '{condition}'"))
}

/// "; did you mean …?", or nothing.
#[must_use]
pub fn meant(name: &str) -> String {
    other_field(name).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

/// The same; where nothing is like it, how such members of other programs' lines are named.
fn meant_or_other(name: &str) -> String {
    let meant = meant(name);
    if meant.is_empty() && !name.contains(WILDCARDS) {
        return format!(
            "; what other programs call {name} is {}.{name}",
            field::FIELDS_OTHER
        );
    }
    meant
}

/// The field that was probably meant: one that ends so, or is written much like it.
#[must_use]
pub fn other_field(typed: &str) -> Option<String> {
    if is_known(typed) {
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
    let other = || OTHER_NAMES.iter().find(|(name, _)| *name == lower);
    end.or_else(|| other().map(|(_, ours)| *ours))
        .or_else(|| nearest(&lower, names()))
        .map(str::to_owned)
}

/// What other programs call fields that all lines have.
const OTHER_NAMES: [(&str, &str); 5] = [
    ("msg", field::MESSAGE),
    ("time", field::TIMESTAMP),
    ("ts", field::TIMESTAMP),
    ("lvl", field::LEVEL),
    ("severity", field::LEVEL),
];

/// Whether the schema has a field, or an object, of this name.
#[must_use]
pub fn is_known(name: &str) -> bool {
    FIELDS.iter().any(|known| {
        known.name == name
            || is_within(known.name, name)
            || (is_open(known.kind) && is_within(name, known.name))
    })
}

/// What stands for other characters.
const WILDCARDS: [char; 2] = ['*', '?'];

/// The same of a name that may have [`WILDCARDS`].
fn may_be_known(name: &str) -> bool {
    let Some((begin, _)) = name.split_once(WILDCARDS) else {
        return is_known(name);
    };
    let fits = |glob: &Glob| FIELDS.iter().any(|known| glob.fits(known.name));
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

/// Whether the names in an object are not the schema's.
const fn is_open(kind: Kind) -> bool {
    matches!(kind, Kind::FlatObject | Kind::KeywordMap)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_fields_are_known() {
        for name in [
            "level",
            "photo.id",
            "photo",
            "fields.anything",
            "fields",
            "kubernetes.labels.tier",
        ] {
            assert!(is_known(name), "{name}");
        }
        for name in ["levl", "photo.idd", "phot", "fieldsx"] {
            assert!(!is_known(name), "{name}");
        }
    }

    #[test]
    fn patterns_are_known_by_what_they_can_stand_for() {
        for name in [
            "*",
            "*_seconds",
            "photo*",
            "ph?to",
            "fields.a*",
            "kubernetes.labels.*tier",
            "http.*.method",
        ] {
            assert!(may_be_known(name), "{name}");
        }
        for name in ["x*", "level?", "foto.*", "photo.x*"] {
            assert!(!may_be_known(name), "{name}");
        }
    }

    #[test]
    fn several_values_are_asked_for_as_one_pattern() {
        for (value, told) in [
            ("warn", None),
            ("warn,", None),
            ("warn,error", Some("level~=^(warn|error)$")),
            (" a.b | c ", Some(r"level~=^(a\.b|c)$")),
        ] {
            let told = told.map(|told| format!("; for one of several write -f '{told}'"));
            assert_eq!(several("level", "~=", value), told, "{value}");
        }
    }

    #[test]
    fn which_field_was_meant() {
        for (typed, meant) in [
            ("levl", Some("level")),
            ("Level", Some("level")),
            ("msg", Some("message")),
            ("http_route", Some("http.route")),
            ("lvl", Some("level")),
            ("status_code", Some("http.response.status_code")),
            ("trace", Some("trace_id")),
            ("zzz", None),
            // It is right; only no line has it.
            ("tags", None),
            ("outbox.oldest_age_seconds", None),
        ] {
            assert_eq!(other_field(typed).as_deref(), meant, "{typed}");
        }
    }
}

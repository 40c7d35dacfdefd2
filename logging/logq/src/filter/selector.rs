//! `-l`: Kubernetes label selectors (Kubernetes documentation, "Labels and Selectors", equality- and set-based
//! requirements).

use schema::field;

use super::{Filter, Literal};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{requirement:?} is not a label requirement: write a=b, a!=b, \"a in (b,c)\", \"a notin (b,c)\", a or !a"
)]
pub struct SelectorError {
    requirement: String,
}

/// Parses a selector: comma-separated requirements, which must all hold.
///
/// # Errors
/// [`SelectorError`].
pub fn parse(text: &str) -> Result<Filter, SelectorError> {
    split_requirements(text)
        .into_iter()
        .map(|requirement| {
            parse_requirement(requirement).ok_or_else(|| SelectorError {
                requirement: requirement.to_owned(),
            })
        })
        .collect::<Result<_, _>>()
        .map(Filter::All)
}

/// Splits at commas outside parentheses.
fn split_requirements(text: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    text.split(|c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .collect()
}

fn parse_requirement(text: &str) -> Option<Filter> {
    if let Some(key) = text.strip_prefix('!') {
        return Some(has_label(label(key)?).negated());
    }
    // As in Kubernetes, `!=` and `notin` also select pods without the label.
    if let Some((key, value)) = text.split_once("!=") {
        return Some(label_is(label(key)?, value.trim()).negated());
    }
    if let Some((key, value)) = text.split_once('=') {
        return Some(label_is(label(key)?, value.trim_start_matches('=').trim()));
    }
    let mut words = text.splitn(2, char::is_whitespace);
    let key = label(words.next()?)?;
    let Some(rest) = words.next().map(str::trim_start) else {
        return Some(has_label(key));
    };
    if let Some(set) = rest.strip_prefix("notin") {
        return Some(parse_set(&key, set)?.negated());
    }
    parse_set(&key, rest.strip_prefix("in")?)
}

fn parse_set(key: &str, set: &str) -> Option<Filter> {
    let values = set.trim().strip_prefix('(')?.strip_suffix(')')?;
    let values = values
        .split(',')
        .map(|value| label_is(key.to_owned(), value.trim()));
    Some(Filter::Any(values.collect()))
}

fn label(key: &str) -> Option<String> {
    let key = key.trim();
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    (!key.is_empty() && key.chars().all(fits)).then(|| key.to_owned())
}

/// The fields that can hold a label: the labels that identify a pod have their own fields, all others share an object.
fn label_fields(key: &str) -> [String; 2] {
    [field::KUBERNETES_LABELS, field::KUBERNETES_OTHER_LABELS].map(|object| format!("{object}.{key}"))
}

fn label_is(key: String, value: &str) -> Filter {
    let value = Literal::new(value);
    Filter::Any(
        label_fields(&key)
            .map(|field| Filter::Equals(field, value.clone()))
            .into(),
    )
}

fn has_label(key: String) -> Filter {
    Filter::Any(label_fields(&key).map(Filter::Exists).into())
}

#[cfg(test)]
mod tests {
    use log_normalizer::Document;
    use serde_json::json;

    use super::*;

    fn value_kind(selector: &str) -> bool {
        let document = Document::try_from(json!({ "kubernetes": {
            "labels": { "app_kubernetes_io/name": "irmgard" }, "other_labels": { "tier": "web" },
        }}));
        parse(selector).unwrap().matches(&document.unwrap())
    }

    #[test]
    fn accepted_selectors_equal_those_of_kubernetes() {
        for selector in [
            "app.kubernetes.io/name=irmgard",
            "app.kubernetes.io/name==irmgard,tier=web",
            "tier in (db, web)",
            "tier notin (db,queue), tier",
            "tier!=db,!track",
            "track notin (canary)",
        ] {
            assert!(value_kind(selector), "{selector}");
        }
        for selector in [
            "tier=db",
            "tier in (db)",
            "!tier",
            "track",
            "tier!=web",
            "tier=web,track=canary",
        ] {
            assert!(!value_kind(selector), "{selector}");
        }
    }

    #[test]
    fn invalid_selectors() {
        for selector in ["", "a=b,", "a within (b)", "a in b", "=b", "a b"] {
            assert!(parse(selector).is_err(), "{selector}");
        }
    }
}

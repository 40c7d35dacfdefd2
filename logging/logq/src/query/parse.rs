//! Converts options to filters.

use schema::field;

use super::{Criteria, Criterion, QueryError, all_of, any_of};
use crate::{
    filter::{Filter, Glob, Literal, Pattern, condition, selector},
    time::Clock,
};

/// A shorter prefix would match other traces, too.
const MIN_TRACE_DIGITS: usize = 8;

/// The names that criteria pods, with their options and fields.
const fn pod_names(criteria: &Criteria) -> [(&'static str, &'static str, &Vec<String>); 4] {
    [
        ("namespace", field::KUBERNETES_NAMESPACE, &criteria.namespaces),
        ("pod", field::KUBERNETES_POD, &criteria.pods),
        ("container", field::KUBERNETES_CONTAINER, &criteria.containers),
        ("node", field::KUBERNETES_NODE, &criteria.nodes),
    ]
}

pub(super) fn list_criteria(criteria: &Criteria, clock: &Clock) -> Result<Vec<Criterion>, QueryError> {
    let mut all = Vec::new();
    let components = ("component", field::COMPONENT, &criteria.components);
    for (what, field, names) in std::iter::once(components).chain(pod_names(criteria)) {
        for typed in names {
            all.push(Criterion::Name {
                what,
                field,
                typed: typed.clone(),
                filter: Filter::Glob(field.to_owned(), parse_glob(what, typed)?),
            });
        }
    }
    for typed in &criteria.conditions {
        let filter = condition::parse(typed, clock)?;
        let positive = match &filter {
            Filter::Not(positive) => positive,
            positive => positive,
        };
        let (Filter::Equals(field, _)
        | Filter::Matches(field, _)
        | Filter::Compare(field, ..)
        | Filter::Exists(field)) = positive
        else {
            continue;
        };
        all.push(Criterion::Condition {
            field: field.clone(),
            typed: typed.trim().to_owned(),
            filter,
        });
    }
    Ok(all)
}

pub(super) fn pod_filter(criteria: &Criteria) -> Result<Filter, QueryError> {
    let mut all = Vec::new();
    for (option, field, names) in pod_names(criteria) {
        if !names.is_empty() {
            let parse_globs = parse_globs(option, names)?.into_iter();
            all.push(Filter::Any(
                parse_globs
                    .map(|parse_glob| Filter::Glob(field.to_owned(), parse_glob))
                    .collect(),
            ));
        }
    }
    if let Some(selector) = &criteria.selector {
        all.push(selector::parse(selector)?);
    }
    Ok(all_of(all))
}

pub(super) fn conditions(criteria: &Criteria, clock: &Clock) -> Result<Filter, QueryError> {
    let mut all = Vec::new();
    if let Some(level) = criteria.level {
        all.push(Filter::Level(level));
    }
    for text in &criteria.grep {
        all.push(Filter::Text(pattern("grep", text)?));
    }
    for text in &criteria.exclude {
        all.push(Filter::Text(pattern("exclude", text)?).negated());
    }
    for condition in &criteria.conditions {
        all.push(condition::parse(condition, clock)?);
    }
    Ok(all_of(all))
}

pub(super) fn parse_traces(texts: &[String]) -> Result<Option<Filter>, QueryError> {
    let all: Vec<Filter> = texts
        .iter()
        .map(|text| parse_trace(text))
        .collect::<Result<_, _>>()?;
    Ok((!all.is_empty()).then(|| any_of(all)))
}

pub(super) fn parse_trace(text: &str) -> Result<Filter, QueryError> {
    let id = text.trim().to_ascii_lowercase();
    let digits = id.len();
    if !(MIN_TRACE_DIGITS..=32).contains(&digits) || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(QueryError::Trace(text.to_owned()));
    }
    let field = field::TRACE_ID.to_owned();
    if digits == 32 {
        return Ok(Filter::Equals(field, Literal::new(&id)));
    }
    parse_glob("trace", &format!("{id}*")).map(|parse_glob| Filter::Glob(field, parse_glob))
}

pub(super) fn parse_globs(option: &'static str, texts: &[String]) -> Result<Vec<Glob>, QueryError> {
    texts.iter().map(|text| parse_glob(option, text)).collect()
}

pub(super) fn parse_glob(option: &'static str, text: &str) -> Result<Glob, QueryError> {
    Glob::new(text).map_err(|error| QueryError::Glob {
        option,
        pattern: text.to_owned(),
        why: error.to_string(),
    })
}

pub(super) fn pattern(option: &'static str, pattern: &str) -> Result<Pattern, QueryError> {
    Pattern::new(pattern).map_err(|error| QueryError::Pattern {
        option,
        pattern: pattern.to_owned(),
        why: error.to_string(),
    })
}

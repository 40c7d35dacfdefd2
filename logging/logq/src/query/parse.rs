//! Converts options to filters.

use schema::field;

use super::{Criterion, QueryError, all_of, any_of};
use crate::{
    cli::{SelectOptions, condition, selector, time::Clock},
    filter::{Filter, Glob, Literal, Pattern},
};

/// A shorter prefix would match other traces, too.
const MIN_TRACE_DIGITS: usize = 8;

/// The options that select pods, with their fields.
const fn pod_options(select: &SelectOptions) -> [(&'static str, &'static str, &Vec<String>); 4] {
    [
        ("namespace", field::KUBERNETES_NAMESPACE, &select.namespace),
        ("pod", field::KUBERNETES_POD, &select.pod),
        ("container", field::KUBERNETES_CONTAINER, &select.container),
        ("node", field::KUBERNETES_NODE, &select.node),
    ]
}

pub(super) fn criteria(select: &SelectOptions, clock: &Clock) -> Result<Vec<Criterion>, QueryError> {
    let mut criteria = Vec::new();
    let components = ("component", field::COMPONENT, &select.components);
    for (what, field, names) in std::iter::once(components).chain(pod_options(select)) {
        for typed in names {
            criteria.push(Criterion::Name {
                what,
                field,
                typed: typed.clone(),
                filter: Filter::Glob(field.to_owned(), parse_glob(what, typed)?),
            });
        }
    }
    for typed in &select.conditions {
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
        criteria.push(Criterion::Condition {
            field: field.clone(),
            typed: typed.trim().to_owned(),
            filter,
        });
    }
    Ok(criteria)
}

pub(super) fn pod_filter(select: &SelectOptions) -> Result<Filter, QueryError> {
    let mut all = Vec::new();
    for (option, field, names) in pod_options(select) {
        if !names.is_empty() {
            let parse_globs = parse_globs(option, names)?.into_iter();
            all.push(Filter::Any(
                parse_globs
                    .map(|parse_glob| Filter::Glob(field.to_owned(), parse_glob))
                    .collect(),
            ));
        }
    }
    if let Some(selector) = &select.selector {
        all.push(selector::parse(selector)?);
    }
    Ok(all_of(all))
}

pub(super) fn conditions(select: &SelectOptions, clock: &Clock) -> Result<Filter, QueryError> {
    let mut all = Vec::new();
    if let Some(level) = select.level {
        all.push(Filter::Level(level));
    }
    for text in &select.grep {
        all.push(Filter::Text(pattern("grep", text)?));
    }
    for text in &select.exclude {
        all.push(Filter::Text(pattern("exclude", text)?).negated());
    }
    for condition in &select.conditions {
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

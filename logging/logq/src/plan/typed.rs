//! From options as they are typed to filters.

use schema::field;

use super::{Unclear, Wish, either, simple};
use crate::{
    cli::{Select, condition, selector, time::Clock},
    filter::{Filter, Glob, Literal, Pattern},
};

/// Fewer digits of a trace id would find others too.
const LEAST_TRACE_DIGITS: usize = 8;

/// The options that say where, with the field that holds it.
const fn places(select: &Select) -> [(&'static str, &'static str, &Vec<String>); 4] {
    [
        ("namespace", field::KUBERNETES_NAMESPACE, &select.namespace),
        ("pod", field::KUBERNETES_POD, &select.pod),
        ("container", field::KUBERNETES_CONTAINER, &select.container),
        ("node", field::KUBERNETES_NODE, &select.node),
    ]
}

pub(super) fn wishes(select: &Select, clock: &Clock) -> Result<Vec<Wish>, Unclear> {
    let mut wishes = Vec::new();
    let components = ("component", field::COMPONENT, &select.components);
    for (what, field, names) in std::iter::once(components).chain(places(select)) {
        for typed in names {
            wishes.push(Wish::Name {
                what,
                field,
                typed: typed.clone(),
                filter: Filter::Glob(field.to_owned(), glob(what, typed)?),
            });
        }
    }
    for typed in &select.conditions {
        let filter = condition::read(typed, clock)?;
        let asked = match &filter {
            Filter::Not(asked) => asked,
            asked => asked,
        };
        let (Filter::Is(field, _)
        | Filter::Found(field, _)
        | Filter::Compare(field, ..)
        | Filter::Exists(field)) = asked
        else {
            continue;
        };
        wishes.push(Wish::Condition {
            field: field.clone(),
            typed: typed.trim().to_owned(),
            filter,
        });
    }
    Ok(wishes)
}

pub(super) fn place(select: &Select) -> Result<Filter, Unclear> {
    let mut all = Vec::new();
    for (option, field, names) in places(select) {
        if !names.is_empty() {
            let globs = globs(option, names)?.into_iter();
            all.push(Filter::Any(
                globs.map(|glob| Filter::Glob(field.to_owned(), glob)).collect(),
            ));
        }
    }
    if let Some(selector) = &select.selector {
        all.push(selector::read(selector)?);
    }
    Ok(simple(all))
}

pub(super) fn conditions(select: &Select, clock: &Clock) -> Result<Filter, Unclear> {
    let mut all = Vec::new();
    if let Some(level) = select.level {
        all.push(Filter::Level(level));
    }
    for pattern in &select.grep {
        all.push(Filter::Text(compiled("grep", pattern)?));
    }
    for pattern in &select.exclude {
        all.push(Filter::Text(compiled("exclude", pattern)?).negated());
    }
    for condition in &select.conditions {
        all.push(condition::read(condition, clock)?);
    }
    Ok(simple(all))
}

pub(super) fn of_traces(texts: &[String]) -> Result<Option<Filter>, Unclear> {
    let all: Vec<Filter> = texts
        .iter()
        .map(|text| of_trace(text))
        .collect::<Result<_, _>>()?;
    Ok((!all.is_empty()).then(|| either(all)))
}

pub(super) fn of_trace(text: &str) -> Result<Filter, Unclear> {
    let id = text.trim().to_ascii_lowercase();
    let digits = id.len();
    if !(LEAST_TRACE_DIGITS..=32).contains(&digits) || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unclear::Trace(text.to_owned()));
    }
    let field = field::TRACE_ID.to_owned();
    if digits == 32 {
        return Ok(Filter::Is(field, Literal::new(&id)));
    }
    glob("trace", &format!("{id}*")).map(|glob| Filter::Glob(field, glob))
}

pub(super) fn globs(option: &'static str, texts: &[String]) -> Result<Vec<Glob>, Unclear> {
    texts.iter().map(|text| glob(option, text)).collect()
}

pub(super) fn glob(option: &'static str, text: &str) -> Result<Glob, Unclear> {
    Glob::new(text).map_err(|error| Unclear::Glob {
        option,
        pattern: text.to_owned(),
        why: error.to_string(),
    })
}

pub(super) fn compiled(option: &'static str, pattern: &str) -> Result<Pattern, Unclear> {
    Pattern::new(pattern).map_err(|error| Unclear::Pattern {
        option,
        pattern: pattern.to_owned(),
        why: error.to_string(),
    })
}

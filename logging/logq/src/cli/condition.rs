//! `-f`: what is wanted of one field.

use schema::Kind;

use crate::{
    cli::time::{Clock, NoTime, duration},
    filter::{Comparison, Filter, Literal, Pattern},
};

/// A text that is no condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCondition {
    /// There is no operator in it.
    #[error(
        "{0:?} says nothing of a field: write FIELD=VALUE, !=, ~=, !~=, >, >=, <, <= or \"FIELD exists\""
    )]
    Operator(String),
    /// There is nothing before the operator, or what no field's name has.
    #[error("{0:?} is no field's name")]
    Field(String),
    /// The regular expression is none.
    #[error("{pattern:?} is no regular expression: {why}")]
    Pattern {
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// Only numbers and times are greater or less.
    #[error(
        "{0:?} is neither a number nor a time: nothing is greater or less than it (a field in seconds, …_seconds, takes 20ms, 1.5s, 2m)"
    )]
    Order(String),
    /// The field holds times.
    #[error(transparent)]
    Time(#[from] NoTime),
}

/// The operators, those that begin like another one first.
const OPERATORS: [&str; 9] = ["!~=", "!=", "~=", ">=", "<=", "==", "=", ">", "<"];

/// Reads a condition. Times are compared as `--since` takes them.
///
/// # Errors
/// [`NoCondition`].
pub fn read(text: &str, clock: &Clock) -> Result<Filter, NoCondition> {
    if let Some(name) = text.strip_suffix(" exists") {
        return match name.strip_suffix(" not") {
            Some(name) => Ok(Filter::Exists(field(name)?).negated()),
            None => Ok(Filter::Exists(field(name)?)),
        };
    }
    let found = text
        .char_indices()
        .find_map(|(at, _)| {
            let rest = text.get(at..)?;
            let operator = OPERATORS
                .into_iter()
                .find(|operator| rest.starts_with(operator))?;
            Some((text.get(..at)?, operator, rest.get(operator.len()..)?))
        })
        .ok_or_else(|| NoCondition::Operator(text.to_owned()))?;
    let (name, operator, value) = found;
    let name = field(name)?;
    let order = |comparison| {
        let value = ordered(&name, value.trim(), clock)?;
        Ok(Filter::Compare(name.clone(), comparison, value))
    };
    match operator {
        "=" | "==" => Ok(Filter::Is(name, Literal::new(value))),
        "!=" => Ok(Filter::Is(name, Literal::new(value)).negated()),
        "~=" => Ok(Filter::Found(name, pattern(value)?)),
        "!~=" => Ok(Filter::Found(name, pattern(value)?).negated()),
        ">" => order(Comparison::Greater),
        ">=" => order(Comparison::AtLeast),
        "<" => order(Comparison::Less),
        _ => order(Comparison::AtMost),
    }
}

fn field(name: &str) -> Result<String, NoCondition> {
    let name = name.trim().trim_start_matches('.');
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(NoCondition::Field(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn pattern(text: &str) -> Result<Pattern, NoCondition> {
    Pattern::new(text).map_err(|error| NoCondition::Pattern {
        pattern: text.to_owned(),
        why: error.to_string(),
    })
}

/// A value that others are greater or less than. A field in seconds takes
/// times with a unit, too.
fn ordered(name: &str, text: &str, clock: &Clock) -> Result<Literal, NoCondition> {
    let literal = Literal::new(text);
    let is_time = |field: &schema::Field| matches!(field.kind, Kind::Date | Kind::DateNanos);
    if schema::FIELDS
        .iter()
        .any(|field| field.name == name && is_time(field))
    {
        return Ok(Literal::time_as(text, clock.read(text)?));
    }
    if literal.number().is_some() || literal.time().is_some() {
        return Ok(literal);
    }
    let seconds = name
        .ends_with("_seconds")
        .then(|| duration(text))
        .flatten()
        .map(|length| length.as_seconds_f64());
    seconds
        .map(|seconds| Literal::number_as(text, seconds))
        .ok_or_else(|| NoCondition::Order(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        read(text, &Clock::system(true)).map_or_else(|error| error.to_string(), |filter| filter.to_string())
    }

    #[test]
    fn each_operator_is_read() {
        for (typed, meant) in [
            ("photo.id=17", "photo.id=17"),
            ("photo.id == 17", "photo.id= 17"),
            ("outcome!=ok", "not outcome=ok"),
            ("message~=time(d out|out)", "message~=time(d out|out)"),
            ("message!~=^GET", "not message~=^GET"),
            ("duration_seconds>0.5", "duration_seconds>0.5"),
            ("duration_seconds>=500ms", "duration_seconds>=500ms"),
            (
                "@timestamp<2026-11-22T10:00:00Z",
                "@timestamp<2026-11-22T10:00:00Z",
            ),
            ("trace_id exists", "trace_id exists"),
            ("trace_id not exists", "not trace_id exists"),
            (".a=b=c", "a=b=c"),
            ("a=", "a="),
        ] {
            assert_eq!(shown(typed), meant, "{typed}");
        }
        let Ok(Filter::Compare(_, _, half)) = read("duration_seconds>500ms", &Clock::system(true)) else {
            panic!("a comparison");
        };
        assert_eq!(half.number(), Some(0.5));
    }

    #[test]
    fn what_is_none_is_told() {
        for (typed, why) in [
            ("photo", "\"photo\" says nothing of a field"),
            ("=17", "\"\" is no field's name"),
            ("a b=17", "\"a b\" is no field's name"),
            ("a~=(", "\"(\" is no regular expression"),
            ("a>b", "\"b\" is neither a number nor a time"),
            ("@timestamp>b", "\"b\" is no time: write 15m"),
        ] {
            assert!(shown(typed).starts_with(why), "{typed}: {}", shown(typed));
        }
    }
}

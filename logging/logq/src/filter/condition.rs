//! `-f`: a condition on a field.

use schema::{FieldKind, field};

use super::{Comparison, Filter, Literal, Pattern};
use crate::time::{Clock, Edge, TimeError, parse_duration};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConditionError {
    /// No operator.
    #[error("{0:?} is not a condition: write FIELD=VALUE, !=, ~=, !~=, >, >=, <, <= or \"FIELD exists\"")]
    Operator(String),
    /// An empty or invalid field name.
    #[error("{0:?} is not a field name")]
    Field(String),
    /// Invalid regular expression.
    #[error("invalid regular expression {pattern:?}: {why}")]
    Pattern { pattern: String, why: String },
    /// A value without an order.
    #[error(
        "{0:?} is neither a number nor a time. >, >=, < and <= need one; fields named …_seconds also accept \
         20ms, 1.5s or 2m"
    )]
    Order(String),
    /// Use `--level` to order levels.
    #[error("-f cannot order levels. Use --level {0} for this level and above")]
    Level(String),
    /// Invalid time for a time field.
    #[error(transparent)]
    Time(#[from] TimeError),
}

/// All operators; one that starts like another comes first. `=~` and `!~` are the spellings of LogQL and PromQL.
const OPERATORS: [&str; 11] = ["!~=", "!~", "!=", "~=", "=~", ">=", "<=", "==", "=", ">", "<"];

/// Parses a condition. Ignores spaces around the field and the value, unless the value is quoted. Times have the format
/// of `--since` and `--until`.
///
/// # Errors
/// [`ConditionError`].
pub fn parse(text: &str, clock: &Clock) -> Result<Filter, ConditionError> {
    let split = text.char_indices().find_map(|(at, _)| {
        let rest = text.get(at..)?;
        let operator = OPERATORS
            .into_iter()
            .find(|operator| rest.starts_with(operator))?;
        Some((text.get(..at)?, operator, rest.get(operator.len()..)?))
    });
    let Some((name, operator, value)) = split else {
        return match text.split_whitespace().collect::<Vec<_>>().as_slice() {
            [name, "exists"] => Ok(Filter::Exists(field(name)?)),
            [name, "not", "exists"] => Ok(Filter::Exists(field(name)?).negated()),
            _ => Err(ConditionError::Operator(text.to_owned())),
        };
    };
    let name = field(name)?;
    let value = unquoted(value.trim());
    let order = |comparison, edge| {
        let value = parse_ordered(&name, value, clock, edge)?;
        Ok(Filter::Compare(name.clone(), comparison, value))
    };
    match operator {
        "=" | "==" => Ok(Filter::Equals(name.clone(), parse_equal(&name, value, clock)?)),
        "!=" => Ok(Filter::Equals(name.clone(), parse_equal(&name, value, clock)?).negated()),
        "~=" | "=~" => Ok(Filter::Matches(name, pattern(value)?)),
        "!~=" | "!~" => Ok(Filter::Matches(name, pattern(value)?).negated()),
        ">" => order(Comparison::Greater, Edge::Begin),
        ">=" => order(Comparison::AtLeast, Edge::Begin),
        "<" => order(Comparison::Less, Edge::End),
        _ => order(Comparison::AtMost, Edge::End),
    }
}

/// Removes a pair of quotes, unless the value contains more of them.
fn unquoted(text: &str) -> &str {
    let inner = |quote| text.strip_prefix(quote)?.strip_suffix(quote);
    let inner = |quote: char| inner(quote).filter(|inner| !inner.contains(quote));
    ['"', '\''].into_iter().find_map(inner).unwrap_or(text)
}

fn field(name: &str) -> Result<String, ConditionError> {
    let name = name.trim().trim_start_matches('.');
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(ConditionError::Field(name.to_owned()));
    }
    Ok(name.to_owned())
}

fn pattern(text: &str) -> Result<Pattern, ConditionError> {
    Pattern::new(text).map_err(|error| ConditionError::Pattern {
        pattern: text.to_owned(),
        why: error.to_string(),
    })
}

fn holds_times(name: &str) -> bool {
    schema::FIELDS
        .iter()
        .any(|field| field.name == name && matches!(field.kind, FieldKind::Date | FieldKind::DateNanos))
}

fn parse_equal(name: &str, text: &str, clock: &Clock) -> Result<Literal, ConditionError> {
    if holds_times(name) {
        return Ok(Literal::with_time(text, clock.parse(text, Edge::Begin)?));
    }
    Ok(Literal::new(text))
}

/// Parses the value of an order comparison. A field in seconds also accepts a duration such as 20ms.
fn parse_ordered(name: &str, text: &str, clock: &Clock, edge: Edge) -> Result<Literal, ConditionError> {
    if holds_times(name) {
        return Ok(Literal::with_time(text, clock.parse(text, edge)?));
    }
    if name == field::LEVEL {
        return Err(ConditionError::Level(text.to_owned()));
    }
    let literal = Literal::new(text);
    if literal.number().is_some() || literal.time().is_some() {
        return Ok(literal);
    }
    let seconds = name
        .ends_with("_seconds")
        .then(|| parse_duration(text))
        .flatten()
        .map(|length| length.as_seconds_f64());
    seconds
        .map(|seconds| Literal::with_number(text, seconds))
        .ok_or_else(|| ConditionError::Order(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        parse(text, &Clock::system(true)).map_or_else(|error| error.to_string(), |filter| filter.to_string())
    }

    #[test]
    fn all_operators_are_parsed() {
        for (typed, expected) in [
            ("photo.id=17", "photo.id=17"),
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
            ("a=b exists", "a=b exists"),
            // The LogQL spelling.
            ("a=~b", "a~=b"),
            ("a!~b", "not a~=b"),
        ] {
            assert_eq!(shown(typed), expected, "{typed}");
        }
        let Ok(Filter::Compare(_, _, half)) = parse("duration_seconds>500ms", &Clock::system(true)) else {
            panic!("a comparison");
        };
        assert_eq!(half.number(), Some(0.5));
    }

    #[test]
    fn spaces_around_an_operator_are_ignored() {
        for (operator, value) in [
            ("=", "x y"),
            ("==", "x"),
            ("!=", "x"),
            ("~=", "x|y"),
            ("=~", "x"),
            ("!~=", "x"),
            ("!~", "x"),
            (">", "5"),
            (">=", "5"),
            ("<", "5"),
            ("<=", "5"),
            ("=", ""),
        ] {
            let close = shown(&format!("a{operator}{value}"));
            for wide in [
                format!("a {operator} {value}"),
                format!("  a{operator}  {value}\t"),
                format!("\ta\u{a0}{operator}{value} \n"),
                format!(" .a {operator} \"{value}\" "),
                format!("a {operator} '{value}'"),
            ] {
                assert_eq!(shown(&wide), close, "{wide:?}");
            }
        }
        for (typed, expected) in [
            ("  trace_id   exists ", "trace_id exists"),
            ("trace_id\tnot  exists", "not trace_id exists"),
            ("@timestamp <= 2026-11-22 10:00", "@timestamp<=2026-11-22 10:00"),
        ] {
            assert_eq!(shown(typed), expected, "{typed:?}");
        }
    }

    #[test]
    fn quoted_value_keeps_its_spaces() {
        for (typed, expected) in [
            ("a = ' x '", " x "),
            ("a=\" x\"", " x"),
            ("a='\"x\"'", "\"x\""),
            ("a=\"", "\""),
            ("a=\"\"", ""),
            ("a=\"x", "\"x"),
            ("a=\"x\" or \"y\"", "\"x\" or \"y\""),
        ] {
            let Ok(Filter::Equals(_, value)) = parse(typed, &Clock::system(true)) else {
                panic!("{typed}");
            };
            assert_eq!(value.text(), expected, "{typed}");
        }
    }

    #[test]
    fn invalid_values_are_reported() {
        for (typed, why) in [
            ("photo", "\"photo\" is not a condition"),
            ("=17", "\"\" is not a field name"),
            ("a b=17", "\"a b\" is not a field name"),
            ("a~=(", "invalid regular expression \"(\""),
            ("a>b", "\"b\" is neither a number nor a time"),
            ("@timestamp>b", "\"b\" is not a time: write 15m"),
            ("@timestamp=b", "\"b\" is not a time: write 15m"),
            ("level >= warn", "-f cannot order levels. Use --level warn"),
            ("exists", "\"exists\" is not a condition"),
            ("a b exists", "\"a b exists\" is not a condition"),
            (" != 17", "\"\" is not a field name"),
        ] {
            assert!(shown(typed).starts_with(why), "{typed}: {}", shown(typed));
        }
    }
}

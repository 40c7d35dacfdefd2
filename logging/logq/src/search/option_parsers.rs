//! Parses the values of search options.

use std::time::Duration;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};

use crate::{
    source::{SOURCES, SourceType},
    time::parse_duration,
};

/// Maximum order window: `--follow` buffers it in memory.
const MAX_ORDER_WINDOW: Duration = Duration::from_secs(60);

/// Parses the name of a Kubernetes object. Such a name contains no comma.
pub(super) fn parse_name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a name must not be empty; * matches every name"),
        name => Ok(name.to_owned()),
    }
}

pub(super) fn parse_photo_id(text: &str) -> Result<i64, &'static str> {
    text.trim()
        .parse()
        .map_err(|_| "a photo id is a number, for example 17")
}

/// Accepts the name of a source. Help and completions list the sources.
pub(super) fn source_parser() -> impl TypedValueParser<Value = &'static SourceType> {
    let names = SOURCES
        .each_ref()
        .map(|source| PossibleValue::new(source.name).help(source.help));
    PossibleValuesParser::new(names).try_map(|name| {
        SOURCES
            .iter()
            .find(|source| source.name == name)
            .ok_or("unknown source")
    })
}

/// Accepts a level or a common alias. Help and completions list the levels.
pub(super) fn level_parser() -> impl TypedValueParser<Value = &'static str> {
    let names = schema::level::ALL.map(|name| match name {
        schema::level::WARN => PossibleValue::new(name).alias("warning"),
        schema::level::ERROR => PossibleValue::new(name).alias("err"),
        name => PossibleValue::new(name),
    });
    let levels = names.clone();
    PossibleValuesParser::new(names).try_map(move |typed| {
        let level = levels.iter().position(|name| name.matches(&typed, true));
        level
            .and_then(|index| schema::level::ALL.get(index).copied())
            .ok_or("unknown level")
    })
}

/// # Errors
/// The allowed values.
pub(super) fn parse_order_window(text: &str) -> Result<Duration, String> {
    let length = if text == "0" {
        Some(Duration::ZERO)
    } else {
        parse_duration(text).and_then(|length| length.to_std().ok())
    };
    length
        .filter(|length| *length <= MAX_ORDER_WINDOW)
        .ok_or_else(|| "write a duration such as 0, 500ms or 2s, at most one minute".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_order_windows() {
        assert_eq!(parse_order_window("0"), Ok(Duration::ZERO));
        assert_eq!(parse_order_window("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_order_window("1m"), Ok(MAX_ORDER_WINDOW));
        for wrong in ["", "2", "-1s", "61s", "x"] {
            assert!(parse_order_window(wrong).is_err(), "{wrong}");
        }
    }
}

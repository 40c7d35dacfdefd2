//! Values and comparisons.

use std::{cmp::Ordering, fmt};

use log_normalizer::Time;
use serde_json::Number;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `<`
    Less,
    /// `<=`
    AtMost,
    /// `>`
    Greater,
    /// `>=`
    AtLeast,
}

impl Comparison {
    /// Whether the ordering of a value relative to the limit satisfies the comparison.
    #[must_use]
    pub const fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Less => ordering.is_lt(),
            Self::AtMost => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::AtLeast => ordering.is_ge(),
        }
    }

    /// OpenSearch's name in a `range` query.
    #[must_use]
    pub const fn query(self) -> &'static str {
        match self {
            Self::Less => "lt",
            Self::AtMost => "lte",
            Self::Greater => "gt",
            Self::AtLeast => "gte",
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Greater => ">",
            Self::AtLeast => ">=",
        })
    }
}

/// A field's value, from either kind of parsed line.
#[derive(Clone, Copy, Debug)]
pub enum FieldValue<'a> {
    Text(&'a str),
    Number(&'a Number),
    Bool(bool),
    /// An object, or an array within an array.
    Nested,
}

/// A typed value and its interpretations.
#[derive(Clone, Debug, PartialEq)]
pub struct Literal {
    text: String,
    number: Option<f64>,
    time: Option<Time>,
}

impl Literal {
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self {
            text: text.to_owned(),
            number: text.parse().ok().filter(|number: &f64| number.is_finite()),
            time: Time::parse(text),
        }
    }

    /// A number in another notation, such as `500ms`.
    #[must_use]
    pub fn with_number(text: &str, number: f64) -> Self {
        Self {
            number: Some(number),
            ..Self::new(text)
        }
    }

    /// A time in another notation, such as `yesterday`.
    #[must_use]
    pub fn with_time(text: &str, time: Time) -> Self {
        Self {
            time: Some(time),
            ..Self::new(text)
        }
    }

    /// The typed text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    #[must_use]
    pub const fn number(&self) -> Option<f64> {
        self.number
    }

    #[must_use]
    pub const fn time(&self) -> Option<Time> {
        self.time
    }

    /// Orders a field's value relative to this one; None if they are not comparable. Numbers compare as numbers and
    /// times as times; all other values are equal or not.
    #[must_use]
    pub fn compare(&self, value: FieldValue<'_>) -> Option<Ordering> {
        match value {
            FieldValue::Number(number) => number.as_f64()?.partial_cmp(&self.number?),
            FieldValue::Text(text) => self.compare_text(text),
            FieldValue::Bool(value) => (value.to_string() == self.text).then_some(Ordering::Equal),
            FieldValue::Nested => None,
        }
    }

    #[must_use]
    pub fn compare_text(&self, text: &str) -> Option<Ordering> {
        match (self.time, self.time.and_then(|_| Time::parse(text))) {
            (Some(wanted), Some(own)) => Some(own.cmp(&wanted)),
            _ => (*text == self.text).then_some(Ordering::Equal),
        }
    }
}

/// Formats as in a condition: quoted if it starts or ends with a space.
impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text.trim() == self.text {
            return f.write_str(&self.text);
        }
        let quote = if self.text.contains('"') { '\'' } else { '"' };
        write!(f, "{quote}{}{quote}", self.text)
    }
}

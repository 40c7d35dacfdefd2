//! Filters on lines. A filter becomes an OpenSearch query, a local test, or a text for people.
//!
//! Architecture invariant: [`Filter::matches`] is authoritative. A source may drop a line early only if that line does
//! not match.

mod compare;
pub mod condition;
mod left_out;
mod matcher;
mod matches;
mod prefilter;
mod pushdown;
mod required_literals;
pub mod selector;

use std::{fmt, sync::Arc};

use regex::Regex;

pub use self::{
    compare::{Comparison, FieldValue, Literal},
    left_out::{Lack, LeftOut},
    matcher::{Match, Matcher},
    matches::{Fields, decide_early},
    prefilter::{Prefilter, has_escapes},
    pushdown::{Bounds, DslQuery, aggregatable_field, push_down},
};

#[derive(Clone, Debug)]
pub enum Filter {
    /// All parts match; an empty list matches every line.
    All(Vec<Self>),
    /// One part matches; an empty list matches no line.
    Any(Vec<Self>),
    Not(Box<Self>),
    /// The field equals this value: texts exactly, numbers and times by meaning. One element of an array is enough.
    Equals(String, Literal),
    /// The field's whole text matches the glob.
    Glob(String, Glob),
    /// The field's text contains a match.
    Matches(String, Pattern),
    Compare(String, Comparison, Literal),
    Exists(String),
    /// This level or a more severe one. Lines without a level do not match.
    Level(&'static str),
    /// One of the line's text fields contains a match ([`schema::FieldKind::Text`]).
    Text(Pattern),
    /// The same lines. Sources count those that it leaves out because they have no time or no level.
    Counting(Box<Self>, Arc<LeftOut>),
}

impl Filter {
    pub const EVERYTHING: Self = Self::All(Vec::new());

    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether it certainly matches every line.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_everything),
            _ => false,
        }
    }
}

/// A pattern for a whole text: `*` matches any characters, `?` one character.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    /// None for a pattern without wildcards.
    matcher: Option<Regex>,
}

impl Glob {
    /// # Errors
    /// The pattern is too long.
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        if !text.contains(['*', '?']) {
            return Ok(Self {
                text: text.to_owned(),
                matcher: None,
            });
        }
        let mut pattern = String::from(r"(?s)\A");
        let mut buffer = [0; 4];
        for character in text.chars() {
            match character {
                '*' => pattern.push_str(".*"),
                '?' => pattern.push('.'),
                other => pattern.push_str(&regex::escape(other.encode_utf8(&mut buffer))),
            }
        }
        pattern.push_str(r"\z");
        Ok(Self {
            text: text.to_owned(),
            matcher: Some(Regex::new(&pattern)?),
        })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The only matching text, if the pattern has no wildcards.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        self.matcher.is_none().then_some(&self.text)
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Some(matcher) => matcher.is_match(text),
            None => self.text == text,
        }
    }
}

/// The error of an invalid regular expression. The location follows on indented lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        // regex formats an error as: a heading, the location, and a last line with the reason.
        let text = error.to_string();
        let Some((place, what)) = text.rsplit_once("\nerror: ") else {
            return Self(text);
        };
        let lines = place.lines().skip(1);
        let place: String = lines
            .map(|line| format!("\n    {}", line.strip_prefix("    ").unwrap_or(line)))
            .collect();
        Self(format!("{what}{place}"))
    }
}

/// A regular expression that matches anywhere in a text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Parses a pattern, in the syntax of the crate `regex`.
    ///
    /// # Errors
    /// The syntax error.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self(Regex::new(text)?))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut fmt::Formatter<'_>, parts: &[Self], word: &str| {
            f.write_str("(")?;
            for (i, part) in parts.iter().enumerate() {
                if i > 0 {
                    write!(f, " {word} ")?;
                }
                part.fmt(f)?;
            }
            f.write_str(")")
        };
        match self {
            Self::All(parts) if parts.is_empty() => f.write_str("every line"),
            Self::Any(parts) if parts.is_empty() => f.write_str("no line"),
            Self::All(parts) | Self::Any(parts) if let [only] = parts.as_slice() => only.fmt(f),
            Self::All(parts) => joined(f, parts, "and"),
            Self::Any(parts) => joined(f, parts, "or"),
            Self::Not(part) => write!(f, "not {part}"),
            Self::Equals(field, value) => write!(f, "{field}={value}"),
            Self::Glob(field, glob) => write!(f, "{field}={}", glob.as_str()),
            Self::Matches(field, pattern) => write!(f, "{field}~={}", pattern.as_str()),
            Self::Compare(field, comparison, value) => write!(f, "{field}{comparison}{value}"),
            Self::Exists(field) => write!(f, "{field} exists"),
            Self::Level(level) => write!(f, "level>={level}"),
            Self::Text(pattern) => write!(f, "text~={}", pattern.as_str()),
            Self::Counting(filter, _) => filter.fmt(f),
        }
    }
}

//! What is wanted of each line, as data: it becomes a query for OpenSearch,
//! a test of a document here, or an explanation for people.
//!
//! Architecture invariant: what [`Filter::matches`] says is the truth. What a
//! source leaves out beforehand may only be what does not match.

mod compare;
mod matches;
mod prefilter;
mod pushdown;
mod required_literals;

use std::fmt;

use regex::Regex;

pub use self::{
    compare::{Comparison, FieldValue, Literal},
    matches::{Fields, decide_early},
    prefilter::{Prefilter, has_escapes},
    pushdown::{Bounds, DslQuery, aggregatable_field, push_down},
};

/// What is wanted of a line.
#[derive(Clone, Debug)]
pub enum Filter {
    /// All of them hold; every line, when there are none.
    All(Vec<Self>),
    /// One of them holds; no line, when there are none.
    Any(Vec<Self>),
    /// It does not hold.
    Not(Box<Self>),
    /// The field has this value: a text as a whole, a number or a time by
    /// what it means. Of several values one.
    Equals(String, Literal),
    /// The field's text fits the pattern as a whole.
    Glob(String, Glob),
    /// The pattern is found in the field's text.
    Matches(String, Pattern),
    /// The field's value compares so with this one.
    Compare(String, Comparison, Literal),
    /// The field is there.
    Exists(String),
    /// The line is as grave as this level, or graver; one without a level is
    /// not.
    Level(&'static str),
    /// The pattern is found in one of the line's texts: the fields that are
    /// searched for words ([`schema::Kind::Text`]).
    Text(Pattern),
}

impl Filter {
    /// Every line.
    pub const EVERYTHING: Self = Self::All(Vec::new());
    /// No line.
    pub const NOTHING: Self = Self::Any(Vec::new());

    /// It holds exactly where this does not.
    #[must_use]
    pub fn negated(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// Whether it is known to hold for every line.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(Self::is_everything),
            _ => false,
        }
    }
}

/// A pattern for a whole text: `*` stands for any characters, `?` for one.
#[derive(Clone, Debug)]
pub struct Glob {
    text: String,
    /// None where only the text itself fits.
    matcher: Option<Regex>,
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// When it is too long.
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

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The only text that fits, if there is only one.
    #[must_use]
    pub fn literal(&self) -> Option<&str> {
        self.matcher.is_none().then_some(&self.text)
    }

    /// Whether the whole text fits.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match &self.matcher {
            Some(matcher) => matcher.is_match(text),
            None => self.text == text,
        }
    }
}

/// A text that is no regular expression: what is wrong, and in lines below it, indented, where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

impl From<regex::Error> for PatternError {
    fn from(error: regex::Error) -> Self {
        // The first line says that there is an error, the last one which, and those between where.
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

/// A regular expression, searched for within a text.
#[derive(Clone, Debug)]
pub struct Pattern(Regex);

impl Pattern {
    /// Reads a pattern, in the syntax of the crate `regex`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        Ok(Self(Regex::new(text)?))
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it is found.
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
        }
    }
}

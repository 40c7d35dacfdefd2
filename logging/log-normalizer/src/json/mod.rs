//! A JSON object as a tree that borrows from its line.
//!
//! The parser accepts exactly what `serde_json` accepts as an object. The tree lives in an [`Arena`], so a line costs
//! no allocation of its own.

mod parser;

use serde_json::{Map, Value as OwnedValue};

use self::parser::read;

/// Memory for the trees of one line at a time.
pub use bumpalo::Bump as Arena;

/// Digits that a double holds exactly.
const MAX_EXACT_DIGITS: usize = 15;

/// A parsed value. Its methods are those of [`serde_json::Value`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(&'a str),
    Array(&'a [Self]),
    Object(Object<'a>),
}

/// A number as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a>(&'a str);

/// The members of an object, sorted by name. Of several members with the same name, the last one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Object<'a>(&'a [(&'a str, Value<'a>)]);

/// Parses a JSON object; None for anything else.
#[must_use]
pub fn parse<'a>(text: &'a str, arena: &'a Arena) -> Option<Object<'a>> {
    read(text, arena, false)
}

/// Parses an object with values that are not JSON, but that some programs write: NaN, infinities and numbers beyond a
/// double become texts, a lone surrogate becomes U+FFFD.
#[must_use]
pub fn parse_lenient<'a>(text: &'a str, arena: &'a Arena) -> Option<Object<'a>> {
    read(text, arena, true)
}

impl<'a> Value<'a> {
    #[must_use]
    pub const fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    #[must_use]
    pub const fn as_object(&self) -> Option<&Object<'a>> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    #[must_use]
    pub const fn as_array(&self) -> Option<&'a [Self]> {
        match self {
            Self::Array(values) => Some(values),
            _ => None,
        }
    }

    #[must_use]
    pub const fn is_string(&self) -> bool {
        matches!(self, Self::String(_))
    }
}

impl<'a> Object<'a> {
    /// Sorts members into an object; None if two have the same name.
    #[must_use]
    pub fn from_members(members: &mut [(&'a str, Value<'a>)], arena: &'a Arena) -> Option<Self> {
        members.sort_unstable_by_key(|(name, _)| *name);
        let is_unique = members.is_sorted_by(|a, b| a.0 < b.0);
        is_unique.then(|| Self(arena.alloc_slice_copy(members)))
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a Value<'a>> {
        let member = self.0.iter().find(|(own, _)| *own == name);
        member.map(|(_, value)| value)
    }

    /// The value under a dotted name, as [`crate::Document::get`] finds it.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'a Value<'a>> {
        self.get(name).or_else(|| {
            name.match_indices('.').find_map(|(at, _)| {
                let (object, rest) = (name.get(..at)?, name.get(at + 1..)?);
                self.get(object)?.as_object()?.find(rest)
            })
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a Value<'a>)> + use<'a> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same object without borrowed parts.
    #[must_use]
    pub fn to_map(self) -> Map<String, OwnedValue> {
        let members = self.iter();
        members
            .map(|(name, value)| (name.to_owned(), (*value).into()))
            .collect()
    }

    /// Appends JSON without white space.
    pub fn write_json(&self, out: &mut String) {
        out.push('{');
        for (number, (name, value)) in self.iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            write_text(name, out);
            out.push(':');
            value.write_json(out);
        }
        out.push('}');
    }
}

impl Value<'_> {
    /// Appends JSON as `serde_json` writes it.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Self::Number(number) => number.write_json(out),
            Self::String(text) => write_text(text, out),
            Self::Object(object) => object.write_json(out),
            Self::Array(values) => {
                out.push('[');
                for (number, value) in values.iter().enumerate() {
                    if number > 0 {
                        out.push(',');
                    }
                    value.write_json(out);
                }
                out.push(']');
            }
        }
    }
}

/// Appends a text with its quotes.
pub(crate) fn write_text(text: &str, out: &mut String) {
    let simple = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(simple) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

impl Number<'_> {
    /// The number, if it is written as an integer of 64 bits with a sign.
    #[must_use]
    pub fn as_i64(&self) -> Option<i64> {
        // `serde_json` reads `-0` as a float.
        if self.0 == "-0" { None } else { self.0.parse().ok() }
    }

    #[must_use]
    pub fn as_f64(&self) -> Option<f64> {
        self.0.parse().ok()
    }

    #[must_use]
    pub fn to_owned_number(self) -> serde_json::Number {
        // The parser has checked the syntax and the range.
        serde_json::from_str(self.0).unwrap_or_else(|_| 0.into())
    }

    /// Appends the number as `serde_json` writes it.
    pub fn write_json(&self, out: &mut String) {
        if self.is_canonical() {
            out.push_str(self.0);
        } else {
            out.push_str(&self.to_owned_number().to_string());
        }
    }

    /// Whether `serde_json` certainly writes the number in the same way.
    fn is_canonical(&self) -> bool {
        let digits = self.0.strip_prefix('-').unwrap_or(self.0);
        if digits.len() > MAX_EXACT_DIGITS {
            return false;
        }
        let Some((whole, fraction)) = digits.split_once('.') else {
            return self.0 != "-0" && digits.bytes().all(|byte| byte.is_ascii_digit());
        };
        let is_shortest = fraction == "0" || !fraction.ends_with('0');
        let is_small = whole == "0" && fraction.starts_with("000");
        is_shortest && !is_small && fraction.bytes().all(|byte| byte.is_ascii_digit())
    }
}

impl From<Value<'_>> for OwnedValue {
    fn from(value: Value<'_>) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(value),
            Value::Number(number) => Self::Number(number.to_owned_number()),
            Value::String(text) => Self::String(text.to_owned()),
            Value::Array(values) => values.iter().map(|value| Self::from(*value)).collect(),
            Value::Object(object) => Self::Object(object.to_map()),
        }
    }
}

#[cfg(test)]
mod tests;

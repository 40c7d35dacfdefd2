//! Finds members of a JSON object without parsing it.

use aho_corasick::packed::Searcher;
use log_normalizer::numeric_level;
use memchr::{memchr2, memmem::Finder};
use schema::{FieldKind, MAX_TERM_BYTES};

use crate::filter::{Comparison, Glob, Literal, Pattern};

/// The member whose numbers [`numeric_level`] explains, as it is in a line.
const NUMERIC_LEVEL: &[u8] = b"\"level\"";

/// Members with a name suffix, at any depth.
#[derive(Debug)]
pub struct Member {
    /// Name suffixes with the closing quote, or whole names in quotes.
    names: MemberNames,
    /// Bytes that may precede a suffix; None for whole names.
    before: Option<&'static [u8]>,
    test: ValueTest,
}

#[derive(Debug)]
enum MemberNames {
    /// One search for all names.
    Together(Searcher),
    /// One search for each name: for a single name, or a processor without the packed searcher.
    Each(Vec<Finder<'static>>),
}

/// A test of a member's value.
#[derive(Debug)]
pub enum ValueTest {
    Exists,
    /// A JSON number.
    IsNumber,
    /// A level other than these: words, and what numbers of the member `level` mean.
    LevelNotIn {
        words: Vec<&'static str>,
        numbers: Vec<&'static str>,
    },
    /// For a field of this kind; None if it is not in the schema.
    OfKind(Option<FieldKind>, Box<Self>),
    Equals(Literal),
    Compare(Comparison, Literal),
    Glob(Glob),
    Matches(Pattern),
}

/// A raw value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RawValue<'a> {
    /// A text without escapes.
    Text(&'a str),
    /// A number, and how it is written.
    Number(f64, &'a str),
    Other,
}

impl Member {
    /// Members whose names end in one of these, preceded by one of the bytes `before`.
    pub fn new(names: &[&str], before: &'static [u8], test: ValueTest) -> Self {
        let names = names.iter().map(|name| format!("{name}\"")).collect();
        Self::search(names, Some(before), test)
    }

    /// Members with one of these names.
    pub fn exact(names: &[&str], test: ValueTest) -> Self {
        Self::search(
            names.iter().map(|name| format!("\"{name}\"")).collect(),
            None,
            test,
        )
    }

    fn search(names: Vec<String>, before: Option<&'static [u8]>, test: ValueTest) -> Self {
        let names = match Searcher::new(&names) {
            Some(searcher) if names.len() > 1 => MemberNames::Together(searcher),
            _ => MemberNames::Each(names.iter().map(|name| Finder::new(name).into_owned()).collect()),
        };
        Self { names, before, test }
    }

    /// Whether the test fails for every line that is not JSON.
    pub const fn is_json_only(&self) -> bool {
        matches!(self.test, ValueTest::IsNumber)
    }

    /// Whether the test may hold for a member.
    pub fn is_in(&self, content: &[u8]) -> bool {
        self.find(content, &mut |name, value| {
            if let (ValueTest::LevelNotIn { numbers, .. }, RawValue::Number(_, written)) = (&self.test, value)
                && name == NUMERIC_LEVEL
            {
                let level = written.parse().ok().and_then(numeric_level);
                return level.is_none_or(|level| !numbers.contains(&level));
            }
            self.test.may_hold(value)
        })
    }

    /// Whether `holds` returns true for a member's value.
    pub fn any(&self, content: &[u8], holds: &mut dyn FnMut(RawValue<'_>) -> bool) -> bool {
        self.find(content, &mut |_, value| holds(value))
    }

    /// Whether `holds` returns true for a member: the bytes of its name that matched, and its value. JSON escapes quotes
    /// in texts, so each hit ends a name or a text.
    fn find(&self, content: &[u8], holds: &mut dyn FnMut(&[u8], RawValue<'_>) -> bool) -> bool {
        let mut holds_at = |begin: usize, end: usize| {
            let rest = content.get(end..).unwrap_or_default();
            let fits = |allowed: &[u8]| {
                let before = begin.checked_sub(1).and_then(|at| content.get(at));
                before.is_some_and(|byte| allowed.contains(byte))
            };
            let name = content.get(begin..end).unwrap_or_default();
            self.before.is_none_or(fits) && parse_value(rest).is_some_and(|value| holds(name, value))
        };
        match &self.names {
            MemberNames::Together(names) => names
                .find_iter(content)
                .any(|found| holds_at(found.start(), found.end())),
            MemberNames::Each(names) => names.iter().any(|name| {
                let length = name.needle().len();
                name.find_iter(content).any(|at| holds_at(at, at + length))
            }),
        }
    }
}

impl ValueTest {
    fn may_hold(&self, value: RawValue<'_>) -> bool {
        match (self, value) {
            (Self::IsNumber, value) => matches!(value, RawValue::Number(..)),
            (Self::LevelNotIn { words, .. }, RawValue::Text(word)) => !words.contains(&word),
            (Self::OfKind(kind, test), value) => test.may_hold_for_kind(*kind, value),
            _ => true,
        }
    }

    fn may_hold_for_kind(&self, kind: Option<FieldKind>, value: RawValue<'_>) -> bool {
        let numeric = matches!(kind, Some(FieldKind::Long | FieldKind::Double));
        match value {
            // A document holds only its beginning.
            RawValue::Text(text) if text.len() > MAX_TERM_BYTES => true,
            RawValue::Text(text) => {
                let number = text.parse().ok().filter(|_| numeric);
                self.holds_for_text(text) || number.is_some_and(|number| self.holds_for_number(number))
            }
            RawValue::Number(number, _) if kind.is_none() || numeric => self.holds_for_number(number),
            _ => true,
        }
    }

    fn holds_for_text(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => wanted.compare_text(text).is_some_and(|order| order.is_eq()),
            Self::Compare(comparison, wanted) => wanted
                .compare_text(text)
                .is_some_and(|order| comparison.holds(order)),
            Self::Glob(glob) => glob.is_match(text),
            Self::Matches(pattern) => pattern.is_match(text),
            _ => true,
        }
    }

    fn holds_for_number(&self, number: f64) -> bool {
        match self {
            Self::Equals(wanted) => wanted.number() == Some(number),
            Self::Compare(comparison, wanted) => wanted
                .number()
                .and_then(|wanted| number.partial_cmp(&wanted))
                .is_some_and(|order| comparison.holds(order)),
            _ => true,
        }
    }
}

/// The value after a closing quote; None if no name ends there.
fn parse_value(after: &[u8]) -> Option<RawValue<'_>> {
    let rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    match rest.first() {
        Some(b'"') => {
            let text = rest.get(1..).unwrap_or_default();
            Some(match memchr2(b'"', b'\\', text) {
                Some(end) if text.get(end) == Some(&b'"') => {
                    let text = text.get(..end).unwrap_or_default();
                    std::str::from_utf8(text).map_or(RawValue::Other, RawValue::Text)
                }
                _ => RawValue::Other,
            })
        }
        Some(b'-' | b'0'..=b'9') => {
            let ends = |byte: &u8| !byte.is_ascii_digit() && !b"+-.eE".contains(byte);
            let end = rest.iter().position(ends).unwrap_or(rest.len());
            let written = rest
                .get(..end)
                .and_then(|digits| std::str::from_utf8(digits).ok())?;
            let number = written.parse().ok();
            Some(number.map_or(RawValue::Other, |number| RawValue::Number(number, written)))
        }
        _ => Some(RawValue::Other),
    }
}

//! Members of a JSON object, found without reading the object.

use aho_corasick::packed::Searcher;
use memchr::{memchr2, memmem::Finder};
use schema::Kind;

use crate::filter::{Comparison, Glob, Literal, Pattern};

/// Members whose names end so, at whatever depth.
#[derive(Debug)]
pub struct Member {
    /// The ends of the names, with the quote behind them.
    names: Names,
    /// What may stand before such an end.
    before: &'static [u8],
    test: Test,
}

#[derive(Debug)]
enum Names {
    /// Looked for at once.
    AtOnce(Searcher),
    /// Looked for one after the other: a single one, or where the processor
    /// cannot.
    Each(Vec<Finder<'static>>),
}

/// What may hold of a member's value.
#[derive(Debug)]
pub enum Test {
    /// It is there.
    There,
    /// It is a number. Only JSON has such.
    IsNumber,
    /// It is a level that is none of these.
    AsGrave(Vec<&'static str>),
    /// Of a field of this kind; None for one that is not in the schema.
    Of(Option<Kind>, Box<Self>),
    /// The filter of the same name.
    Is(Literal),
    /// The filter of the same name.
    Compare(Comparison, Literal),
    /// The filter of the same name.
    Glob(Glob),
    /// The filter of the same name.
    Found(Pattern),
}

/// A value as it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text without escapes.
    Text(&'a str),
    /// A number.
    Number(f64),
    /// Anything else.
    Other,
}

impl Member {
    /// Members whose names end in one of these, after one of the bytes `before`.
    pub fn new(names: &[&str], before: &'static [u8], test: Test) -> Self {
        let names: Vec<String> = names.iter().map(|name| format!("{name}\"")).collect();
        let names = match Searcher::new(&names) {
            Some(searcher) if names.len() > 1 => Names::AtOnce(searcher),
            _ => Names::Each(names.iter().map(|name| Finder::new(name).into_owned()).collect()),
        };
        Self { names, before, test }
    }

    /// Whether it holds for no line that is not JSON.
    pub const fn is_of_json_alone(&self) -> bool {
        matches!(self.test, Test::IsNumber)
    }

    /// Whether the test may hold for one of them.
    pub fn is_in(&self, content: &[u8]) -> bool {
        self.any(content, &mut |value| self.test.may_hold(value))
    }

    /// Whether it holds for one of them. In a text, quotes have a backslash
    /// before them, so what is found is the end of a name or of a text.
    pub fn any(&self, content: &[u8], holds: &mut dyn FnMut(Value<'_>) -> bool) -> bool {
        let mut holds_at = |begin: usize, end: usize| {
            let before = begin.checked_sub(1).and_then(|at| content.get(at));
            let rest = content.get(end..).unwrap_or_default();
            before.is_some_and(|byte| self.before.contains(byte)) && value(rest).is_some_and(&mut *holds)
        };
        match &self.names {
            Names::AtOnce(names) => names
                .find_iter(content)
                .any(|found| holds_at(found.start(), found.end())),
            Names::Each(names) => names.iter().any(|name| {
                let length = name.needle().len();
                name.find_iter(content).any(|at| holds_at(at, at + length))
            }),
        }
    }
}

impl Test {
    fn may_hold(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::IsNumber, value) => matches!(value, Value::Number(_)),
            (Self::AsGrave(harmless), Value::Text(word)) => !harmless.contains(&word),
            (Self::Of(kind, test), value) => test.may_hold_of(*kind, value),
            _ => true,
        }
    }

    fn may_hold_of(&self, kind: Option<Kind>, value: Value<'_>) -> bool {
        let numeric = matches!(kind, Some(Kind::Long | Kind::Double));
        match value {
            Value::Text(text) => {
                let number = text.parse().ok().filter(|_| numeric);
                self.of_text(text) || number.is_some_and(|number| self.of_number(number))
            }
            Value::Number(number) if kind.is_none() || numeric => self.of_number(number),
            _ => true,
        }
    }

    fn of_text(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => wanted.compared_text(text).is_some_and(|order| order.is_eq()),
            Self::Compare(comparison, wanted) => wanted
                .compared_text(text)
                .is_some_and(|order| comparison.holds(order)),
            Self::Glob(glob) => glob.fits(text),
            Self::Found(pattern) => pattern.is_in(text),
            _ => true,
        }
    }

    fn of_number(&self, number: f64) -> bool {
        match self {
            Self::Is(wanted) => wanted.number() == Some(number),
            Self::Compare(comparison, wanted) => wanted
                .number()
                .and_then(|wanted| number.partial_cmp(&wanted))
                .is_some_and(|order| comparison.holds(order)),
            _ => true,
        }
    }
}

/// The value that follows a name's last quote; None when no name ends there.
fn value(after: &[u8]) -> Option<Value<'_>> {
    let rest = after.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
    match rest.first() {
        Some(b'"') => {
            let text = rest.get(1..).unwrap_or_default();
            Some(match memchr2(b'"', b'\\', text) {
                Some(end) if text.get(end) == Some(&b'"') => {
                    let text = text.get(..end).unwrap_or_default();
                    std::str::from_utf8(text).map_or(Value::Other, Value::Text)
                }
                _ => Value::Other,
            })
        }
        Some(b'-' | b'0'..=b'9') => {
            let ends = |byte: &u8| !byte.is_ascii_digit() && !b"+-.eE".contains(byte);
            let end = rest.iter().position(ends).unwrap_or(rest.len());
            let number = rest
                .get(..end)
                .and_then(|digits| std::str::from_utf8(digits).ok());
            Some(
                number
                    .and_then(|digits| digits.parse().ok())
                    .map_or(Value::Other, Value::Number),
            )
        }
        _ => Some(Value::Other),
    }
}

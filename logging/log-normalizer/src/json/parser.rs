//! The parser of JSON objects.

use super::{Arena, Number, Object, Value};

/// Maximum depth of objects and arrays, as in `serde_json`.
const MAX_DEPTH: u8 = 127;

/// Shorter numbers without an exponent are finite.
const MAX_FINITE_DIGITS: usize = 300;

/// Parses an object. `is_lenient`: see [`super::parse_lenient`].
pub(super) fn read<'a>(text: &'a str, arena: &'a Arena, is_lenient: bool) -> Option<Object<'a>> {
    let mut parser = Parser {
        text,
        is_lenient,
        at: 0,
        depth: 0,
        arena,
        pending: Vec::with_capacity(64),
    };
    if parser.next_token()? != b'{' {
        return None;
    }
    let object = parser.object()?;
    parser.next_token().is_none().then_some(object)
}

struct Parser<'a> {
    text: &'a str,
    is_lenient: bool,
    at: usize,
    depth: u8,
    arena: &'a Arena,
    /// Members of unfinished objects, and elements of unfinished arrays.
    pending: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Parser<'a> {
    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The next byte after white space, which is not consumed.
    fn next_token(&mut self) -> Option<u8> {
        loop {
            match self.byte(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(byte),
            }
        }
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        let is_next = self.next_token()? == byte;
        self.at += 1;
        is_next.then_some(())
    }

    fn value(&mut self) -> Option<Value<'a>> {
        match self.next_token()? {
            b'"' => self.string().map(Value::String),
            b'{' => self.object().map(Value::Object),
            b'[' => self.array().map(Value::Array),
            b'-' if self.is_lenient && self.byte(self.at + 1) == Some(b'I') => {
                self.literal("-Infinity", Value::String("-Infinity"))
            }
            b'I' if self.is_lenient => self.literal("Infinity", Value::String("Infinity")),
            b'N' if self.is_lenient => self.literal("NaN", Value::String("NaN")),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            _ => None,
        }
    }

    fn literal(&mut self, word: &str, value: Value<'a>) -> Option<Value<'a>> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += word.len();
        rest.starts_with(word.as_bytes()).then_some(value)
    }

    /// Parses a list up to its closing bracket; returns where its items begin in `pending`.
    fn list(&mut self, end: u8, item: impl Fn(&mut Self) -> Option<(&'a str, Value<'a>)>) -> Option<usize> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        let begin = self.pending.len();
        if self.next_token()? != end {
            loop {
                let item = item(self)?;
                self.pending.push(item);
                if self.next_token()? != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect(end)?;
        self.depth -= 1;
        Some(begin)
    }

    fn object(&mut self) -> Option<Object<'a>> {
        let begin = self.list(b'}', |parser| {
            if parser.next_token()? != b'"' {
                return None;
            }
            let name = parser.string()?;
            parser.expect(b':')?;
            Some((name, parser.value()?))
        })?;
        let members = self.pending.get_mut(begin..)?;
        if !members.is_sorted_by(|a, b| a.0 < b.0) {
            members.sort_by_key(|(name, _)| *name);
            // Keep the last of equal names.
            let mut kept = begin;
            for at in begin..self.pending.len() {
                let (name, value) = *self.pending.get(at)?;
                if at > begin && self.pending.get(kept)?.0 != name {
                    kept += 1;
                }
                *self.pending.get_mut(kept)? = (name, value);
            }
            self.pending.truncate(kept + 1);
        }
        let object = Object(self.arena.alloc_slice_copy(self.pending.get(begin..)?));
        self.pending.truncate(begin);
        Some(object)
    }

    fn array(&mut self) -> Option<&'a [Value<'a>]> {
        let begin = self.list(b']', |parser| Some(("", parser.value()?)))?;
        let elements = self.pending.get(begin..)?.iter().map(|(_, value)| *value);
        let array = self.arena.alloc_slice_fill_iter(elements);
        self.pending.truncate(begin);
        Some(array)
    }

    fn string(&mut self) -> Option<&'a str> {
        let begin = self.at + 1;
        let mut end = begin;
        let mut has_escapes = false;
        loop {
            end += special_byte(self.text.as_bytes().get(end..)?)?;
            match self.byte(end)? {
                b'"' => break,
                b'\\' => {
                    has_escapes = true;
                    end += 2;
                }
                _ => return None,
            }
        }
        self.at = end + 1;
        if has_escapes {
            let quoted = self.text.get(begin - 1..=end)?;
            let text = match serde_json::from_str::<String>(quoted) {
                Err(_) if self.is_lenient => serde_json::from_str(&without_lone_surrogates(quoted)),
                text => text,
            };
            return Some(self.arena.alloc_str(&text.ok()?));
        }
        self.text.get(begin..end)
    }

    fn number(&mut self) -> Option<Value<'a>> {
        let begin = self.at;
        let mut at = begin + usize::from(self.byte(begin) == Some(b'-'));
        at = match self.byte(at) {
            Some(b'0') => at + 1,
            _ => self.digits(at)?,
        };
        if self.byte(at) == Some(b'.') {
            at = self.digits(at + 1)?;
        }
        let mut is_finite = at - begin <= MAX_FINITE_DIGITS;
        if matches!(self.byte(at), Some(b'e' | b'E')) {
            at += 1;
            at += usize::from(matches!(self.byte(at), Some(b'+' | b'-')));
            at = self.digits(at)?;
            is_finite = false;
        }
        self.at = at;
        let text = self.text.get(begin..at)?;
        let is_finite = is_finite || text.parse().is_ok_and(f64::is_finite);
        match is_finite {
            true => Some(Value::Number(Number(text))),
            // `serde_json` rejects it.
            false => self.is_lenient.then_some(Value::String(text)),
        }
    }

    /// The end of one or more digits.
    fn digits(&self, begin: usize) -> Option<usize> {
        let mut at = begin;
        while self.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            at += 1;
        }
        (at > begin).then_some(at)
    }
}

/// Replaces each lone surrogate by `\ufffd`: U+D800 to U+DFFF without its other half (RFC 8259, section 8.2).
fn without_lone_surrogates(quoted: &str) -> String {
    let surrogate = |at: usize, kinds: [u8; 4]| {
        let escape = quoted.as_bytes().get(at..at + 6)?;
        let is_one = escape.starts_with(b"\\u")
            && escape[2].eq_ignore_ascii_case(&b'd')
            && kinds.contains(&escape[3].to_ascii_lowercase())
            && escape[4..].iter().all(u8::is_ascii_hexdigit);
        is_one.then_some(())
    };
    let (high, low) = (*b"89ab", *b"cdef");
    let mut text = String::with_capacity(quoted.len());
    let mut at = 0;
    while let Some(rest) = quoted.get(at..).filter(|rest| !rest.is_empty()) {
        let length = if surrogate(at, high).and(surrogate(at + 6, low)).is_some() {
            12
        } else if surrogate(at, high).or(surrogate(at, low)).is_some() {
            text.push_str("\\ufffd");
            at += 6;
            continue;
        } else if rest.starts_with('\\') {
            2
        } else {
            rest.find('\\').unwrap_or(rest.len())
        };
        let end = rest.ceil_char_boundary(length);
        text.push_str(&rest[..end]);
        at += end;
    }
    text
}

/// The first quote, backslash or control character. Tests eight bytes at a time.
fn special_byte(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH_BITS: u64 = 0x8080_8080_8080_8080;
    // The lowest marked byte is exact; a borrow can only mark bytes above it.
    let below = |word: u64, limit: u8| word.wrapping_sub(ONES * u64::from(limit)) & !word & HIGH_BITS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (chunks, rest) = bytes.as_chunks::<8>();
    for (number, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        let found = equal(word, b'"') | equal(word, b'\\') | below(word, b' ');
        if found != 0 {
            return Some(8 * number + found.trailing_zeros() as usize / 8);
        }
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..b' ');
    Some(bytes.len() - rest.len() + rest.iter().position(is_special)?)
}

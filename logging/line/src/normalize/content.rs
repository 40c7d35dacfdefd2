//! What a line holds, as text and as JSON.

use std::borrow::Cow;

use schema::MAX_CONTENT_BYTES;
use serde_json::{Map, Value};

use crate::Line;

/// A line's content as UTF-8.
pub(super) struct Content<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether something was no UTF-8.
    pub(super) scrubbed: bool,
    /// Whether its end is missing.
    pub(super) cut: bool,
}

impl<'a> Content<'a> {
    pub(super) fn new(line: &'a Line<'_>) -> Self {
        let bytes: &[u8] = &line.content;
        let kept = bytes.get(..MAX_CONTENT_BYTES).unwrap_or(bytes);
        let cut = line.cut || kept.len() < bytes.len();
        let kept = if cut { without_begun_character(kept) } else { kept };
        let text = String::from_utf8_lossy(kept);
        let scrubbed = matches!(text, Cow::Owned(_));
        Self { text, scrubbed, cut }
    }
}

/// Without a character at the end of which the last bytes are missing.
fn without_begun_character(bytes: &[u8]) -> &[u8] {
    let begins = |byte: &u8| byte & 0b1100_0000 != 0b1000_0000;
    let Some(from_end) = bytes.iter().rev().take(3).position(begins) else {
        return bytes;
    };
    let (before, last) = bytes.split_at(bytes.len() - from_end - 1);
    match std::str::from_utf8(last) {
        Err(error) if error.error_len().is_none() => before,
        _ => bytes,
    }
}

/// The members of a JSON object; None for anything else, and for one that is
/// nested deeper than 127.
pub(super) fn json(text: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8], cut: bool) -> (String, bool, bool) {
        let mut line = Line::plain(bytes, 0);
        line.cut = cut;
        let content = Content::new(&line);
        (content.text.into_owned(), content.scrubbed, content.cut)
    }

    #[test]
    fn what_is_no_utf_8_is_replaced() {
        assert_eq!(content("ü\0".as_bytes(), false), ("ü\0".to_owned(), false, false));
        assert_eq!(content(b"a\xfcb", false), ("a\u{fffd}b".to_owned(), true, false));
        // One for each longest part that could have begun a character.
        assert_eq!(
            content(b"\xe2\x82|\xed\xa0\x80|\xf0\x9f\x92A", false)
                .0
                .matches('\u{fffd}')
                .count(),
            5
        );
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let long = [&vec![b'x'; MAX_CONTENT_BYTES - 2], "€€".as_bytes()].concat();
        let (text, scrubbed, cut) = content(&long, false);
        assert_eq!((text.len(), scrubbed, cut), (MAX_CONTENT_BYTES - 2, false, true));
        let exact = vec![b'x'; MAX_CONTENT_BYTES];
        assert_eq!(content(&exact, false).0.len(), MAX_CONTENT_BYTES);
        assert!(!content(&exact, false).2);
        // What was cut before it came here.
        assert_eq!(content(b"a\xf0\x9f\x92", true), ("a".to_owned(), false, true));
        assert_eq!(content(b"a\xff", true), ("a\u{fffd}".to_owned(), true, true));
        assert_eq!(content("aé".as_bytes(), true), ("aé".to_owned(), false, true));
    }

    #[test]
    fn only_objects_of_strict_json() {
        for text in [
            "{",
            "{}x",
            "[1]",
            "{\"a\":NaN}",
            "{\"a\":1e400}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\ud800\"}",
            "{'a':1}",
            "{\"a\":1}//",
            "{\"a\":01}",
        ] {
            assert_eq!(json(text), None, "{text}");
        }
        assert_eq!(json("{\"a\":1,\"a\":2} \r").unwrap()["a"], 2);
        let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert!(json(&nested(127)).is_some());
        assert!(json(&nested(128)).is_none());
        assert!(json(&nested(1000)).is_none());
    }
}

//! Decodes a line's content to text.

use std::borrow::Cow;

use schema::MAX_CONTENT_BYTES;

use crate::RawLine;

/// A line's content as UTF-8.
pub(super) struct Content<'a> {
    pub(super) text: Cow<'a, str>,
    /// Whether it contained invalid UTF-8.
    pub(super) scrubbed: bool,
    /// Whether its end is missing.
    pub(super) cut: bool,
}

impl<'a> Content<'a> {
    pub(super) fn new(line: &'a RawLine<'_>) -> Self {
        let bytes: &[u8] = &line.content;
        let kept = bytes.get(..MAX_CONTENT_BYTES).unwrap_or(bytes);
        let cut = line.cut || kept.len() < bytes.len();
        let kept = if cut { without_begun_character(kept) } else { kept };
        let text = String::from_utf8_lossy(kept);
        let scrubbed = matches!(text, Cow::Owned(_));
        Self { text, scrubbed, cut }
    }

    /// The text without a byte order mark, which Windows programs write at the start of a file.
    pub(super) fn without_mark(&self) -> &str {
        self.text.strip_prefix('\u{feff}').unwrap_or(&self.text)
    }
}

/// The bytes without an incomplete character at the end.
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

/// The start of a line of Docker's files. The program's line in it may be JSON itself.
pub(super) const DOCKER_START: &str = "{\"log\":\"";

/// The start of a message of journald's that is an array of bytes.
pub(super) const JOURNALD_BYTES: &str = "\"MESSAGE\":[";

/// A JSON line whose message is encoded once more contains one of these. There, a search of the bytes for a text or a
/// member does not find it.
pub const ENCODED_TEXTS: [&str; 2] = [DOCKER_START, JOURNALD_BYTES];

#[cfg(test)]
mod tests {
    use super::*;

    fn content(bytes: &[u8], cut: bool) -> (String, bool, bool) {
        let mut line = RawLine::plain(bytes, 0);
        line.cut = cut;
        let content = Content::new(&line);
        (content.text.into_owned(), content.scrubbed, content.cut)
    }

    #[test]
    fn invalid_utf_8_is_replaced() {
        assert_eq!(content("ü\0".as_bytes(), false), ("ü\0".to_owned(), false, false));
        assert_eq!(content(b"a\xfcb", false), ("a\u{fffd}b".to_owned(), true, false));
        // One for each longest part that could begin a character.
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
        // The line was cut before.
        assert_eq!(content(b"a\xf0\x9f\x92", true), ("a".to_owned(), false, true));
        assert_eq!(content(b"a\xff", true), ("a\u{fffd}".to_owned(), true, true));
        assert_eq!(content("aé".as_bytes(), true), ("aé".to_owned(), false, true));
    }
}

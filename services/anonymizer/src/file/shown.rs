//! File names, as they may be shown: a name may hold anything but `/` and NUL,
//! also what moves a terminal's cursor or turns the direction of writing.

use std::{fmt::Write as _, path::Path};

/// A path for people: what would do something to a terminal is written as
/// `\u{…}`, what is no Unicode as `�`.
#[must_use]
pub fn shown(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if is_active(c) {
            text.extend(c.escape_unicode());
        } else {
            text.push(c);
        }
    }
    text
}

/// The same in finished JSON, where such characters stand in strings only.
#[must_use]
pub fn shown_json(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if is_active(c) {
            // All of them are below U+10000: one unit of UTF-16 (RFC 8259, 7).
            let _ = write!(text, "\\u{:04x}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text
}

/// Control characters, line separators, and Unicode's directional formatting
/// characters (UAX #9, 2).
fn is_active(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{061c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn names_do_nothing_to_a_terminal() {
        let name = Path::new("cam 1/ä\u{1b}[2J\n\u{9b}\u{202e}gpj.写真");
        assert_eq!(shown(name), r"cam 1/ä\u{1b}[2J\u{a}\u{9b}\u{202e}gpj.写真");
        assert_eq!(shown(Path::new(OsStr::from_bytes(b"a\xff.jpg"))), "a\u{fffd}.jpg");
    }

    #[test]
    fn json_says_the_same() {
        let name = "ä\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\"";
        let json = shown_json(&serde_json::to_string(name).unwrap());
        assert!(!json.contains(is_active), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), name);
    }
}

//! Escapes text from outside before it is shown in a terminal.

use std::fmt::Write;

/// Whether a terminal acts on the character instead of showing it: control characters, line separators, and characters
/// that change the direction of writing (Unicode UAX #9, section 2), with which one name can look like another.
#[must_use]
pub fn is_acted_on(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces every such character with JSON's escape (RFC 8259, section 7); all of them are below U+10000. JSON keeps its
/// meaning.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    escape_into(text, &mut shown);
    shown
}

/// Appends the text, escaped as in [`escaped`].
pub fn escape_into(text: &str, shown: &mut String) {
    if text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return shown.push_str(text);
    }
    for c in text.chars() {
        if is_acted_on(c) {
            // Writing to a string does not fail.
            let _ = write!(shown, "\\u{:04x}", u32::from(c));
        } else {
            shown.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_is_left() {
        assert_eq!(
            escaped("a\u{1b}[2J\n\u{9b}31m\u{202e}gpj.x\u{2069}\u{7f}é 照片"),
            "a\\u001b[2J\\u000a\\u009b31m\\u202egpj.x\\u2069\\u007fé 照片"
        );
    }

    #[test]
    fn json_stays_the_same() {
        let text = "ä\u{1b}\u{7f}\u{9b}\u{202e}\u{2028}\"\\x";
        let json = escaped(&serde_json::to_string(text).unwrap());
        assert!(!json.contains(is_acted_on), "{json}");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}

//! Starts of lines that both the joiner and the level rules use.

use crate::time::Timestamp;

/// The text after one or more digits.
pub(crate) fn after_digits(text: &[u8]) -> Option<&[u8]> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (length > 0).then(|| &text[length..])
}

/// `thread 'name' panicked at …`, with the thread's id since Rust 1.91.
pub(crate) fn is_rust_panic(line: &[u8]) -> bool {
    let Some(rest) = line.strip_prefix(b"thread '") else {
        return false;
    };
    let Some(end) = rest.iter().position(|byte| *byte == b'\'') else {
        return false;
    };
    let rest = &rest[end + 1..];
    let rest = rest
        .strip_prefix(b" (")
        .and_then(after_digits)
        .and_then(|rest| rest.strip_prefix(b")"))
        .unwrap_or(rest);
    rest.starts_with(b" panicked at ")
}

/// The digits that a text begins with.
pub(crate) fn digits(text: &str) -> &str {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    &text[..length]
}

/// `fail: Category[0]` of .NET's console: the word, and the text after the event's number.
pub(crate) fn dotnet_header(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let word = line.get(..4).filter(|word| DOTNET_LEVELS.contains(word))?;
    let rest = line.get(4..)?.strip_prefix(b": ")?;
    let length = rest.iter().position(|byte| *byte == b'[' || is_space(*byte))?;
    let rest = after_digits(rest.get(length..)?.strip_prefix(b"[")?)?.strip_prefix(b"]")?;
    (length > 0 && rest.first().is_none_or(|byte| is_space(*byte))).then_some((word, rest))
}

const DOTNET_LEVELS: [&[u8]; 6] = [b"trce", b"dbug", b"info", b"warn", b"fail", b"crit"];

/// `Nov 22, 2026 10:49:43 AM package.Class method` of java.util.logging; level and message are in the next line.
pub(crate) fn is_java_header(line: &[u8]) -> bool {
    // Most lines have no comma there.
    if line.get(6) != Some(&b',') && line.get(5) != Some(&b',') {
        return false;
    }
    let Some(found) = Timestamp::at_start(line) else {
        return false;
    };
    let (time, rest) = line.split_at(found.length);
    let mut words = rest.split(|byte| *byte == b' ').skip(1);
    let has_class = words.next().is_some_and(|class| class.contains(&b'.'));
    time.contains(&b',') && (time.ends_with(b"AM") || time.ends_with(b"PM")) && has_class
}

/// Start of Python's traces.
pub(crate) const PYTHON_TRACE: &[u8] = b"Traceback (most recent call last):";

/// Start of Java's traces of an uncaught exception.
pub(crate) const JAVA_TRACE: &[u8] = b"Exception in thread \"";

/// White space of ASCII, vertical tab included.
pub(crate) const fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

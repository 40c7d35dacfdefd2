//! Beginnings of lines that more than one rule knows.

/// What follows one or more digits.
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

/// What Python's traces begin with.
pub(crate) const PYTHON_TRACE: &[u8] = b"Traceback (most recent call last):";

/// What Java's traces of an uncaught exception begin with.
pub(crate) const JAVA_TRACE: &[u8] = b"Exception in thread \"";

/// White space of ASCII, vertical tab included.
pub(crate) const fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == b'\x0b'
}

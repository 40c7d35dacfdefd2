//! File names, as they may be shown: a name may hold anything but `/` and NUL.

use std::path::Path;

use terminal::escaped;

/// A path for people: what would do something to a terminal is escaped, what is
/// no Unicode is written as `�`.
#[must_use]
pub fn shown(path: &Path) -> String {
    escaped(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    use super::*;

    #[test]
    fn names_do_nothing_to_a_terminal() {
        let name = Path::new("cam 1/ä\u{1b}[2J\n\u{9b}\u{202e}gpj.写真");
        assert_eq!(shown(name), r"cam 1/ä\u001b[2J\u000a\u009b\u202egpj.写真");
        assert_eq!(shown(Path::new(OsStr::from_bytes(b"a\xff.jpg"))), "a\u{fffd}.jpg");
    }
}

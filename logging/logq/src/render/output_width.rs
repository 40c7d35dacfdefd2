//! How much room there is, and what fits it.

use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Columns where nobody says how many there are.
const DEFAULT_COLUMNS: usize = 80;

/// Fewer columns hold nothing that can be read.
const MIN_COLUMNS: usize = 40;

/// What stands for what was cut.
const CUT: char = '…';

/// What is drawn on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputWidth {
    /// Its columns.
    pub columns: usize,
    /// Whether what is longer is cut. Never where a program may read it.
    pub truncates: bool,
}

impl OutputWidth {
    /// Standard output: as wide as the variable `COLUMNS` says, or as the
    /// terminal is.
    #[must_use]
    pub fn detect() -> Self {
        let named = std::env::var("COLUMNS").ok();
        let named = named
            .and_then(|text| text.parse().ok())
            .filter(|columns| *columns > 0);
        let own = || terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns));
        // A terminal that does not know its size says 0.
        let columns = named.or_else(own).filter(|columns| *columns > 0);
        Self {
            columns: columns.unwrap_or(DEFAULT_COLUMNS).max(MIN_COLUMNS),
            truncates: io::stdout().is_terminal(),
        }
    }

    /// The text, or as much of its beginning as fits.
    #[must_use]
    pub fn truncate_end(self, text: &str, columns: usize) -> String {
        if !self.truncates || width(text) <= columns {
            return text.to_owned();
        }
        let mut shown: String = take_columns(text.chars(), columns.saturating_sub(1)).collect();
        shown.push(CUT);
        shown
    }

    /// The text, or as much of its end as fits.
    #[must_use]
    pub fn truncate_start(self, text: &str, columns: usize) -> String {
        if !self.truncates || width(text) <= columns {
            return text.to_owned();
        }
        let kept: Vec<char> = take_columns(text.chars().rev(), columns.saturating_sub(1)).collect();
        std::iter::once(CUT).chain(kept.into_iter().rev()).collect()
    }

    /// The parts in lines that fit, apart by a space each; one line where
    /// nothing is cut. A part that is longer than a line has one of its own.
    #[must_use]
    pub fn wrap<'t>(self, parts: impl Iterator<Item = &'t str>, gap: &str, columns: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for part in parts {
            match lines.last_mut() {
                Some(line) if !self.truncates || width(line) + gap.len() + width(part) <= columns => {
                    line.push_str(gap);
                    line.push_str(part);
                }
                _ => lines.push(part.to_owned()),
            }
        }
        lines
    }
}

fn take_columns(text: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    text.scan(0, move |taken, c| {
        *taken += c.width().unwrap_or_default();
        (*taken <= columns).then_some(c)
    })
}

/// Columns that a text takes.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// The text with blanks after it up to so many columns.
#[must_use]
pub fn pad_end(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// A text of several lines as one, without what a terminal acts on.
#[must_use]
pub fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let line = lines.collect::<Vec<_>>().join(" ");
    terminal::escaped(&line.replace('\t', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMINAL: OutputWidth = OutputWidth {
        columns: 80,
        truncates: true,
    };

    const PIPE: OutputWidth = OutputWidth {
        columns: 80,
        truncates: false,
    };

    #[test]
    fn what_does_not_fit_is_cut_on_a_terminal_only() {
        assert_eq!(TERMINAL.truncate_end("abcdef", 6), "abcdef");
        assert_eq!(TERMINAL.truncate_end("abcdef", 5), "abcd…");
        assert_eq!(TERMINAL.truncate_start("abcdef", 5), "…cdef");
        // Each of these takes two columns.
        assert_eq!(TERMINAL.truncate_end("照片照片", 8), "照片照片");
        assert_eq!(TERMINAL.truncate_end("照片照片", 6), "照片…");
        assert_eq!(TERMINAL.truncate_start("照片照片", 6), "…照片");
        assert_eq!(TERMINAL.truncate_end("abc", 0), "…");
        assert_eq!(PIPE.truncate_end("abcdef", 5), "abcdef");
        assert_eq!(PIPE.truncate_start("abcdef", 5), "abcdef");
    }

    #[test]
    fn parts_are_wrapped_where_they_fit() {
        let parts = || "one two three four".split(' ');
        assert_eq!(TERMINAL.wrap(parts(), " ", 9), ["one two", "three", "four"]);
        assert_eq!(TERMINAL.wrap(parts(), "  ", 2), ["one", "two", "three", "four"]);
        assert_eq!(PIPE.wrap(parts(), " ", 9), ["one two three four"]);
    }

    #[test]
    fn lines_become_one() {
        assert_eq!(
            one_line("UPDATE photo\n   SET\tx = 1\r\n\n \u{1b}[2J"),
            "UPDATE photo SET x = 1 \\u001b[2J"
        );
    }
}

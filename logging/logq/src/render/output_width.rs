//! The width of the output, and text layout.

use std::io::{self, IsTerminal};

use terminal_size::{Width, terminal_size_of};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const DEFAULT_COLUMNS: usize = 80;

/// A narrower output is unreadable.
const MIN_COLUMNS: usize = 40;

/// The truncation mark.
const CUT: char = '…';

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputWidth {
    pub columns: usize,
    /// Whether to truncate long text. Never if a program may read the output.
    pub truncates: bool,
}

impl OutputWidth {
    /// The width of standard output: the variable `COLUMNS`, or the terminal's width.
    #[must_use]
    pub fn detect() -> Self {
        let named = std::env::var("COLUMNS").ok();
        let named = named
            .and_then(|text| text.parse().ok())
            .filter(|columns| *columns > 0);
        let terminal_width =
            || terminal_size_of(io::stdout()).map(|(Width(columns), _)| usize::from(columns));
        // A terminal of unknown size reports 0.
        let columns = named.or_else(terminal_width).filter(|columns| *columns > 0);
        Self {
            columns: columns.unwrap_or(DEFAULT_COLUMNS).max(MIN_COLUMNS),
            truncates: io::stdout().is_terminal(),
        }
    }

    /// Truncates the end of a text.
    #[must_use]
    pub fn truncate_end(self, text: &str, columns: usize) -> String {
        if !self.truncates || width(text) <= columns {
            return text.to_owned();
        }
        let mut shown: String = take_columns(text.chars(), columns.saturating_sub(1)).collect();
        shown.push(CUT);
        shown
    }

    /// Truncates the start of a text.
    #[must_use]
    pub fn truncate_start(self, text: &str, columns: usize) -> String {
        if !self.truncates || width(text) <= columns {
            return text.to_owned();
        }
        let kept: Vec<char> = take_columns(text.chars().rev(), columns.saturating_sub(1)).collect();
        std::iter::once(CUT).chain(kept.into_iter().rev()).collect()
    }

    /// Joins parts with `gap` and wraps them; a single line if nothing is truncated. A part longer than a line has its
    /// own line.
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

/// The columns of a text.
#[must_use]
pub fn width(text: &str) -> usize {
    text.width()
}

/// Pads a text with spaces.
#[must_use]
pub fn pad_end(text: &str, columns: usize) -> String {
    let blanks = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(blanks))
}

/// Joins the lines of a text, without control characters.
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
    fn only_terminal_output_is_cut() {
        assert_eq!(TERMINAL.truncate_end("abcdef", 6), "abcdef");
        assert_eq!(TERMINAL.truncate_end("abcdef", 5), "abcd…");
        assert_eq!(TERMINAL.truncate_start("abcdef", 5), "…cdef");
        // Each character takes two columns.
        assert_eq!(TERMINAL.truncate_end("照片照片", 8), "照片照片");
        assert_eq!(TERMINAL.truncate_end("照片照片", 6), "照片…");
        assert_eq!(TERMINAL.truncate_start("照片照片", 6), "…照片");
        assert_eq!(TERMINAL.truncate_end("abc", 0), "…");
        assert_eq!(PIPE.truncate_end("abcdef", 5), "abcdef");
        assert_eq!(PIPE.truncate_start("abcdef", 5), "abcdef");
    }

    #[test]
    fn header_wraps_at_parts() {
        let parts = || "one two three four".split(' ');
        assert_eq!(TERMINAL.wrap(parts(), " ", 9), ["one two", "three", "four"]);
        assert_eq!(TERMINAL.wrap(parts(), "  ", 2), ["one", "two", "three", "four"]);
        assert_eq!(PIPE.wrap(parts(), " ", 9), ["one two three four"]);
    }

    #[test]
    fn partial_lines_are_joined() {
        assert_eq!(
            one_line("UPDATE photo\n   SET\tx = 1\r\n\n \u{1b}[2J"),
            "UPDATE photo SET x = 1 \\u001b[2J"
        );
    }
}

//! Lines around those that were found.

use std::collections::VecDeque;

use crate::{cli::Show, source::Entry};

/// A line that is shown, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The line.
    pub entry: Entry,
    /// Whether it was found, or stands around one that was.
    pub found: bool,
    /// Whether lines between it and the one before are left out.
    pub gap: bool,
}

/// Picks the lines that stand around those that were found.
pub struct Context {
    before: usize,
    after: usize,
    /// The last lines that were not shown.
    earlier: VecDeque<Entry>,
    /// So many more are shown.
    owed: usize,
    /// Whether a line was left out since the last one shown.
    left_out: bool,
    begun: bool,
}

impl Context {
    /// Reads `-A`, `-B` and `-C`.
    #[must_use]
    pub fn of(show: &Show) -> Self {
        Self::new(
            show.context.unwrap_or(show.before),
            show.context.unwrap_or(show.after),
        )
    }

    const fn new(before: usize, after: usize) -> Self {
        Self {
            before,
            after,
            earlier: VecDeque::new(),
            owed: 0,
            left_out: false,
            begun: false,
        }
    }

    /// So many lines before each are asked for.
    #[must_use]
    pub const fn before(&self) -> usize {
        self.before
    }

    /// Whether lines around are asked for.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.before > 0 || self.after > 0
    }

    /// Takes the next line; gives those that are to be shown now.
    pub fn take(&mut self, entry: Entry, found: bool) -> Vec<Shown> {
        if !self.is_wanted() {
            return vec![Shown {
                entry,
                found: true,
                gap: false,
            }];
        }
        if !found && self.owed > 0 {
            self.owed -= 1;
            return vec![Shown {
                entry,
                found,
                gap: false,
            }];
        }
        if !found {
            self.earlier.push_back(entry);
            if self.earlier.len() > self.before {
                self.earlier.pop_front();
                self.left_out = true;
            }
            return Vec::new();
        }
        self.owed = self.after;
        let mut gap = std::mem::take(&mut self.left_out) && self.begun;
        self.begun = true;
        let lines = self
            .earlier
            .drain(..)
            .map(|entry| (entry, false))
            .chain([(entry, true)]);
        lines
            .map(|(entry, found)| Shown {
                entry,
                found,
                gap: std::mem::take(&mut gap),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use line::Document;
    use serde_json::json;

    use super::*;

    /// Found are upper-case letters; what is shown, with `|` for a gap.
    fn shown(before: usize, after: usize, lines: &str) -> String {
        let mut context = Context::new(before, after);
        let mut shown = String::new();
        for letter in lines.chars() {
            let document = Document::try_from(json!({ "message": letter.to_string() })).unwrap();
            for line in context.take(Entry { document, raw: None }, letter.is_uppercase()) {
                assert_eq!(line.found, line.entry.document.message() < "a");
                shown.push_str(if line.gap { "|" } else { "" });
                shown.push_str(line.entry.document.message());
            }
        }
        shown
    }

    #[test]
    fn lines_around_are_shown_once_and_gaps_are_told() {
        assert_eq!(shown(1, 1, "abCdefGh"), "bCd|fGh");
        assert_eq!(shown(2, 0, "abCDefgH"), "abCD|fgH");
        assert_eq!(shown(0, 2, "AbcdEfG"), "Abc|EfG");
        assert_eq!(shown(3, 3, "abCdEfg"), "abCdEfg");
        assert_eq!(shown(1, 1, "abc"), "");
    }
}

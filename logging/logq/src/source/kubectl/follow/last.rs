//! The last lines of what is there.

use std::collections::VecDeque;

use crate::source::Entry;

/// The last lines, with those before them.
pub struct Last {
    most: usize,
    before: usize,
    found: usize,
    lines: VecDeque<(Entry, bool)>,
}

impl Last {
    pub const fn new(most: usize, before: usize) -> Self {
        Self {
            most,
            before,
            found: 0,
            lines: VecDeque::new(),
        }
    }

    pub fn push(&mut self, entry: Entry, found: bool) {
        self.lines.push_back((entry, found));
        self.found += usize::from(found);
        while self.found > self.most {
            let first = self.lines.pop_front();
            self.found -= usize::from(first.is_some_and(|(_, found)| found));
        }
        // Of those before the first that was found only the nearest count.
        let mut leading = self.lines.iter().take(self.before + 1);
        if self.lines.len() > self.before && leading.all(|(_, found)| !found) {
            self.lines.pop_front();
        }
    }

    pub fn into_entries(self) -> impl Iterator<Item = Entry> {
        self.lines.into_iter().map(|(entry, _)| entry)
    }
}

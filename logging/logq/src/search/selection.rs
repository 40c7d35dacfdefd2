//! Selects matches and context lines: `--limit`, `--tail`, `--reverse`, `-A`, `-B` and `-C`.
//!
//! As in grep, context lines follow the last match of `--limit`; a match among them counts as context. "Before" and
//! "after" refer to time, also in reverse order.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use super::ShowOptions;
use crate::{
    entry::{Entry, Order},
    render::Renderer,
    source::ContextLines,
};

/// Which matches to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineLimit {
    All,
    /// The oldest.
    First(usize),
    /// The newest.
    Last(usize),
}

/// A line to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectedLine<T = Entry> {
    pub line: T,
    /// Whether it is a selected match, or context.
    pub found: bool,
    /// Position among all lines.
    pub number: u64,
}

#[derive(Debug)]
pub struct Selection<T = Entry> {
    limit: LineLimit,
    context_lines: ContextLines,
    /// Lines are shown in reverse order of arrival.
    is_reversed: bool,
    /// The last lines that were not shown: possible context before the next match.
    recent: VecDeque<SelectedLine<T>>,
    /// Remaining context lines after the last match.
    pending_after: usize,
    selected: usize,
    /// Lines to show at the end.
    buffer: VecDeque<SelectedLine<T>>,
    next: u64,
}

impl<T> Selection<T> {
    /// For lines in time order.
    #[must_use]
    pub const fn new(limit: LineLimit, context_lines: ContextLines) -> Self {
        Self {
            limit,
            context_lines,
            is_reversed: false,
            recent: VecDeque::new(),
            pending_after: 0,
            selected: 0,
            buffer: VecDeque::new(),
            next: 0,
        }
    }

    /// Reads the options, for lines in the given order.
    #[must_use]
    pub fn from_options(show: &ShowOptions, order: Order) -> Self {
        let (limit, context_lines) = (show.line_limit(), show.context_lines());
        let mut selection = match (order, limit) {
            // The newest lines arrive first.
            (Order::Backward, LineLimit::Last(most)) => {
                let ContextLines { before, after } = context_lines;
                let context_lines = ContextLines {
                    before: after,
                    after: before,
                };
                Self::new(LineLimit::First(most), context_lines)
            }
            _ => Self::new(limit, context_lines),
        };
        selection.is_reversed = (order == Order::Backward) != show.reverse;
        selection
    }

    /// Takes the next line; returns the lines to show now.
    pub fn take(&mut self, line: T, found: bool) -> Vec<SelectedLine<T>> {
        let number = self.next;
        self.next += 1;
        let found = found && !self.has_selected_all();
        let line = SelectedLine { line, found, number };
        let mut shown = Vec::new();
        if found {
            self.selected += 1;
            self.pending_after = self.context_lines.after;
            shown.extend(self.recent.drain(..));
            shown.push(line);
        } else if self.pending_after > 0 {
            self.pending_after -= 1;
            shown.push(line);
        } else {
            self.recent.push_back(line);
            if self.recent.len() > self.context_lines.before {
                self.recent.pop_front();
            }
        }
        if !self.is_reversed && !matches!(self.limit, LineLimit::Last(_)) {
            return shown;
        }
        self.buffer.extend(shown);
        if let LineLimit::Last(most) = self.limit
            && self.selected > most
        {
            self.deselect_first();
        }
        Vec::new()
    }

    /// Marks a gap: lines are missing here.
    pub fn skip(&mut self) {
        self.next += 1;
        self.pending_after = 0;
        self.recent.clear();
    }

    /// Whether no further line can be shown.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        self.has_selected_all() && self.pending_after == 0
    }

    /// The lines that are still to be shown.
    pub fn finish(self) -> impl Iterator<Item = SelectedLine<T>> {
        let mut buffer = self.buffer;
        if self.is_reversed {
            buffer.make_contiguous().reverse();
        }
        buffer.into_iter()
    }

    /// The same for [`LineLimit::Last`], followed by possible context of a future match.
    pub fn finish_with_recent(mut self) -> impl Iterator<Item = SelectedLine<T>> {
        let recent = std::mem::take(&mut self.recent);
        self.finish().chain(recent)
    }

    const fn has_selected_all(&self) -> bool {
        match self.limit {
            LineLimit::First(most) => self.selected >= most,
            LineLimit::Last(most) => most == 0,
            LineLimit::All => false,
        }
    }

    /// Turns the oldest selected match into possible context.
    fn deselect_first(&mut self) {
        let mut matches = self.buffer.iter_mut().filter(|line| line.found);
        if let Some(first) = matches.next() {
            first.found = false;
        }
        let first = matches.next().map_or(self.next, |line| line.number);
        let is_before =
            |line: &SelectedLine<T>| line.number.saturating_add(self.context_lines.before as u64) < first;
        while self.buffer.front().is_some_and(is_before) {
            self.buffer.pop_front();
        }
        self.selected -= 1;
    }
}

/// Writes selected lines in display order.
#[derive(Debug)]
pub struct SelectionWriter {
    separates: bool,
    last: Option<u64>,
    /// Number of matches.
    pub found: u64,
}

impl SelectionWriter {
    /// With context, it separates lines that are not adjacent.
    #[must_use]
    pub const fn new(context_lines: ContextLines) -> Self {
        Self {
            separates: context_lines.is_wanted(),
            last: None,
            found: 0,
        }
    }

    /// Writes the next line.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write<W: Write>(&mut self, line: &SelectedLine, out: &mut Renderer<W>) -> io::Result<()> {
        let last = self.last.replace(line.number);
        if self.separates && last.is_some_and(|last| last.abs_diff(line.number) > 1) {
            out.gap()?;
        }
        if line.found {
            self.found += 1;
            out.line(&line.line)
        } else {
            out.around(&line.line)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::search::{SearchOptions, options::DEFAULT_REVERSE_LIMIT};

    #[derive(Parser)]
    struct SearchArguments {
        #[command(flatten)]
        search: SearchOptions,
    }

    fn show(options: &[String]) -> ShowOptions {
        let words = std::iter::once("logq").chain(options.iter().map(String::as_str));
        SearchArguments::try_parse_from(words).unwrap().search.show
    }

    /// Number of each shown line, and whether it is a selected match.
    type Lines = Vec<(u64, bool)>;

    fn selected(show: &ShowOptions, order: Order, found: &[bool]) -> Lines {
        let numbered = || found.iter().enumerate();
        let lines: Vec<_> = match order {
            Order::Forward => numbered().collect(),
            Order::Backward => numbered().rev().collect(),
        };
        let mut selection = Selection::from_options(show, order);
        let mut shown = Vec::new();
        for (line, found) in lines {
            let was_complete = selection.is_complete();
            let more = selection.take(line as u64, *found);
            assert!(
                !was_complete || more.is_empty(),
                "nothing follows what is complete"
            );
            shown.extend(more);
        }
        shown.extend(selection.finish());
        for pair in shown.windows(2) {
            // Separators depend on the numbers.
            let [one, other] = pair else { continue };
            assert_eq!(one.line.abs_diff(other.line), one.number.abs_diff(other.number));
        }
        shown.into_iter().map(|shown| (shown.line, shown.found)).collect()
    }

    /// The result according to the options, computed directly.
    fn expected(show: &ShowOptions, found: &[bool]) -> Lines {
        let matches: Vec<usize> = (0..found.len()).filter(|line| found[*line]).collect();
        let most = show.tail.or(show.limit).unwrap_or(DEFAULT_REVERSE_LIMIT);
        let matches = if show.reverse || show.tail.is_some() {
            &matches[matches.len().saturating_sub(most)..]
        } else {
            &matches[..matches.len().min(most)]
        };
        let before = show.before.or(show.context).unwrap_or(0);
        let after = show.after.or(show.context).unwrap_or(0);
        let around = |line: &usize| line.saturating_sub(before)..found.len().min(line + after + 1);
        let shown: BTreeSet<usize> = matches.iter().flat_map(around).collect();
        let mut shown: Lines = shown
            .into_iter()
            .map(|line| (line as u64, matches.contains(&line)))
            .collect();
        if show.reverse {
            shown.reverse();
        }
        shown
    }

    fn options() -> impl Strategy<Value = Vec<String>> {
        let number = |name: &'static str| {
            prop::option::of(0_usize..4)
                .prop_map(move |number| number.map(|number| format!("{name}={number}")))
        };
        let limit = prop_oneof![number("--limit"), number("--tail")];
        let reverse = any::<bool>().prop_map(|is| is.then(|| "--reverse".to_owned()));
        let context_lines = (number("--before"), number("--after"), number("--context"));
        (limit, reverse, context_lines).prop_map(|(limit, reverse, (before, after, context_lines))| {
            [limit, reverse, before, after, context_lines]
                .into_iter()
                .flatten()
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        #[test]
        fn selection_equals_a_simple_implementation(options in options(), found in prop::collection::vec(any::<bool>(), 0..14)) {
            let show = show(&options);
            let expected = expected(&show, &found);
            prop_assert_eq!(&selected(&show, Order::Forward, &found), &expected);
            if matches!(show.line_limit(), LineLimit::Last(_)) {
                prop_assert_eq!(&selected(&show, Order::Backward, &found), &expected);
            }
        }
    }

    /// Upper-case letters are matches. Returns the shown lines, with selected matches in upper case.
    fn shown(options: &str, lines: &str) -> String {
        let options: Vec<String> = options.split_whitespace().map(str::to_owned).collect();
        let found: Vec<bool> = lines.chars().map(char::is_uppercase).collect();
        let mut last = None;
        let mut text = String::new();
        for (number, found) in selected(&show(&options), Order::Forward, &found) {
            if last
                .replace(number)
                .is_some_and(|last: u64| last.abs_diff(number) > 1)
            {
                text.push('|');
            }
            let letter = lines.chars().nth(number as usize).unwrap();
            text.extend(if found {
                letter.to_uppercase().next()
            } else {
                letter.to_lowercase().next()
            });
        }
        text
    }

    #[test]
    fn context_equals_grep() {
        for (options, lines, expected) in [
            ("-C 1", "abCdefGh", "bCd|fGh"),
            ("-B 2", "abCDefgH", "abCD|fgH"),
            ("-A 2", "AbcdEfG", "Abc|EfG"),
            ("-C 3", "abCdEfg", "abCdEfg"),
            ("-C 1 -A 3", "abCdefg", "bCdef"),
            ("-C 1", "abc", ""),
            ("--limit 1 -A 3", "aBcdEfgh", "Bcde"),
            ("--tail 1 -A 2", "aBcdEfgh", "Efg"),
            ("--tail 1 -B 3", "aBcdEfgh", "bcdE"),
            ("--reverse -C 1", "aBcdEfgh", "fEdcBa"),
            ("--reverse -C 1", "aBcxdEfgh", "fEd|cBa"),
            ("--reverse --limit 1 -A 2", "aBcdEfgh", "gfE"),
            ("--limit 0 -C 1", "aB", ""),
            ("--tail 0 -C 1", "aB", ""),
        ] {
            assert_eq!(shown(options, lines), expected, "{options}");
        }
    }

    #[test]
    fn lines_after_a_gap_stand_alone() {
        let mut selection = Selection::new(LineLimit::All, ContextLines { before: 1, after: 2 });
        let mut shown = selection.take('A', true);
        shown.extend(selection.take('b', false));
        selection.skip();
        shown.extend(selection.take('c', false));
        shown.extend(selection.take('D', true));
        let numbers: Vec<_> = shown.iter().map(|shown| (shown.line, shown.number)).collect();
        assert_eq!(numbers, [('A', 0), ('b', 1), ('c', 3), ('D', 4)]);
    }

    #[test]
    fn possible_context_before_a_match_is_included() {
        let mut selection = Selection::new(LineLimit::Last(1), ContextLines { before: 1, after: 1 });
        for letter in "aBcDefgh".chars() {
            selection.take(letter, letter.is_uppercase());
        }
        let letters: String = selection.finish_with_recent().map(|shown| shown.line).collect();
        assert_eq!(letters, "cDeh");
    }
}

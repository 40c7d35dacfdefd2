//! `--limit`, `--tail` and `--reverse`.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use super::context::Shown;
use crate::{cli::Show, render::Renderer};

/// `--reverse` shows at most so many lines unless told otherwise.
const REVERSED: usize = 1000;

/// Which of the lines that are found are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of them.
    All,
    /// The oldest.
    First(usize),
    /// The newest.
    Last(usize),
}

impl Part {
    /// Reads the options. Where the newest comes first, it is among those that
    /// are shown.
    #[must_use]
    pub fn of(show: &Show) -> Self {
        match (show.reverse, show.limit, show.tail) {
            (true, limit, tail) => Self::Last(tail.or(limit).unwrap_or(REVERSED)),
            (false, Some(limit), _) => Self::First(limit),
            (false, None, Some(tail)) => Self::Last(tail),
            (false, None, None) => Self::All,
        }
    }
}

/// Shows that part.
pub struct Kept {
    part: Part,
    reverse: bool,
    held: VecDeque<Shown>,
    /// Lines that were found among those held, and among those written.
    shown: u64,
}

impl Kept {
    /// Reads the options.
    #[must_use]
    pub fn of(show: &Show) -> Self {
        Self {
            part: Part::of(show),
            reverse: show.reverse,
            held: VecDeque::new(),
            shown: 0,
        }
    }

    /// Takes the next line, and writes it if that is known now.
    ///
    /// # Errors
    /// The output's.
    pub fn take<W: Write>(&mut self, line: Shown, out: &mut Renderer<W>) -> io::Result<()> {
        match self.part {
            Part::First(most) if self.has(most) => Ok(()),
            Part::All | Part::First(_) => {
                self.shown += u64::from(line.found);
                write(&line, out)
            }
            Part::Last(most) => {
                self.shown += u64::from(line.found);
                self.held.push_back(line);
                while self.has(most.saturating_add(1)) {
                    let Some(first) = self.held.pop_front() else { break };
                    self.shown -= u64::from(first.found);
                }
                Ok(())
            }
        }
    }

    fn has(&self, lines: usize) -> bool {
        self.shown >= lines as u64
    }

    /// Writes what was held; returns how many lines that were found have been
    /// written.
    ///
    /// # Errors
    /// The output's.
    pub fn finish<W: Write>(mut self, out: &mut Renderer<W>) -> io::Result<u64> {
        if self.reverse {
            self.held.make_contiguous().reverse();
        }
        for line in &self.held {
            write(line, out)?;
        }
        Ok(self.shown)
    }
}

/// Writes a line, and before it that some are left out.
///
/// # Errors
/// The output's.
pub fn write<W: Write>(line: &Shown, out: &mut Renderer<W>) -> io::Result<()> {
    if line.gap {
        out.gap()?;
    }
    if line.found {
        out.line(&line.entry)
    } else {
        out.around(&line.entry)
    }
}

//! `--limit`, `--tail` and `--reverse`.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use super::context::Shown;
use crate::{cli::Show, render::Renderer};

/// `--reverse` keeps at most so many lines in memory unless told otherwise.
const REVERSED: usize = 1000;

/// Shows the first lines, the last, or all.
pub struct Kept {
    limit: usize,
    tail: Option<usize>,
    reverse: bool,
    held: VecDeque<Shown>,
    /// Lines that were found among those held, and among those written.
    shown: u64,
}

impl Kept {
    /// Reads the options.
    #[must_use]
    pub fn of(show: &Show) -> Self {
        let tail = show
            .tail
            .or((show.reverse && show.limit.is_none()).then_some(REVERSED));
        Self {
            limit: show.limit.unwrap_or(usize::MAX),
            tail,
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
        let room = usize::try_from(self.shown).is_ok_and(|shown| shown < self.limit);
        let Some(tail) = self.tail else {
            if !room {
                return Ok(());
            }
            self.shown += u64::from(line.found);
            if self.reverse {
                self.held.push_back(line);
                return Ok(());
            }
            return write(&line, out);
        };
        self.shown += u64::from(line.found);
        self.held.push_back(line);
        while usize::try_from(self.shown).is_ok_and(|shown| shown > tail) {
            let Some(first) = self.held.pop_front() else { break };
            self.shown -= u64::from(first.found);
        }
        Ok(())
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

fn write<W: Write>(line: &Shown, out: &mut Renderer<W>) -> io::Result<()> {
    if line.gap {
        out.gap()?;
    }
    if line.found {
        out.line(&line.entry)
    } else {
        out.around(&line.entry)
    }
}

//! Lines as they are shown or counted, made on all cores:
//! for what needs no line twice and no lines around.

use std::{
    io::{self, Write},
    sync::Arc,
};

use line::{Line, Origin, Tidy, Time, normalize};

use super::pool::Work;
use crate::{
    filter::Filter,
    render::{Column, Laid, Renderer, Style},
    source::merge::Timed,
    summary::Summary,
};

/// Writes the lines that are wanted.
pub struct Written {
    wanted: Filter,
    style: Style,
    tidy: bool,
}

/// Some lines as they are shown, not yet aligned.
pub struct Piece {
    out: Renderer<Vec<u8>>,
    lines: Vec<Mark>,
}

struct Mark {
    end: usize,
    laid: Option<Laid>,
    time: Option<Time>,
}

impl Piece {
    fn mark(&mut self, laid: io::Result<Option<Laid>>, time: Option<Time>) {
        let end = self.out.output().len();
        // Writing to a vector does not fail.
        let laid = laid.ok().flatten();
        self.lines.push(Mark { end, laid, time });
    }

    /// Its lines, each on its own.
    pub fn strips(self) -> impl Iterator<Item = Strip> {
        let shown = Arc::new(Shown {
            bytes: self.out.into_output(),
            lines: self.lines,
        });
        let number = 0..shown.lines.len();
        number.map(move |number| Strip {
            shown: Arc::clone(&shown),
            number,
        })
    }
}

struct Shown {
    bytes: Vec<u8>,
    lines: Vec<Mark>,
}

/// One line as it is shown.
pub struct Strip {
    shown: Arc<Shown>,
    number: usize,
}

impl Strip {
    /// Writes it, aligned with those before it.
    ///
    /// # Errors
    /// The output's.
    pub fn write(&self, column: &mut Column, out: &mut impl Write) -> io::Result<()> {
        let lines = &self.shown.lines;
        let Some(mark) = lines.get(self.number) else {
            return Ok(());
        };
        let before = self.number.checked_sub(1).and_then(|before| lines.get(before));
        let begin = before.map_or(0, |before| before.end);
        let line = self.shown.bytes.get(begin..mark.end).unwrap_or_default();
        match mark.laid {
            Some(laid) => column.write(line, laid, out),
            None => out.write_all(line),
        }
    }

    /// Whether it is the last of those that were read at once.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.number + 1 == self.shown.lines.len()
    }
}

impl Timed for Strip {
    fn time(&self) -> Option<Time> {
        self.shown.lines.get(self.number)?.time
    }
}

impl Written {
    /// Writes in this style the lines that fit the filter.
    pub fn new(wanted: Filter, style: Style) -> Self {
        let told = Renderer::new(Vec::new(), style.clone()).is_told_by_tidy();
        Self {
            tidy: told && wanted.asks_only(&Tidy::tells),
            wanted,
            style,
        }
    }
}

impl Work for Written {
    type Made = Piece;

    fn nothing(&self) -> Piece {
        Piece {
            out: Renderer::new(Vec::new(), self.style.clone()),
            lines: Vec::new(),
        }
    }

    fn line(&self, line: &Line<'_>, origin: &Origin, made: &mut Piece) {
        if self.tidy
            && let Some(tidy) = Tidy::read(line, origin)
            && made.out.is_told_by(&tidy)
        {
            if self.wanted.matches(&tidy) {
                let laid = made.out.lay_tidy(&tidy, line, origin);
                made.mark(laid, Some(tidy.time()));
            }
            return;
        }
        let document = normalize(line, origin);
        if self.wanted.matches(&document) {
            let laid = made.out.lay(&document, &line.content);
            made.mark(laid, document.timestamp());
        }
    }
}

/// Counts the lines that are wanted.
pub struct Counted {
    wanted: Filter,
    tidy: bool,
}

impl Counted {
    /// Counts the lines that fit the filter by component and level.
    pub fn new(wanted: Filter) -> Self {
        Self {
            tidy: wanted.asks_only(&Tidy::tells),
            wanted,
        }
    }
}

impl Work for Counted {
    type Made = (Summary, u64);

    fn nothing(&self) -> Self::Made {
        (Summary::stats(), 0)
    }

    fn line(&self, line: &Line<'_>, origin: &Origin, (summary, found): &mut Self::Made) {
        if self.tidy
            && let Some(tidy) = Tidy::read(line, origin)
        {
            if self.wanted.matches(&tidy) {
                *found += 1;
                summary.count(tidy.component(), Some(tidy.level()), Some(tidy.time()));
            }
            return;
        }
        let document = normalize(line, origin);
        if self.wanted.matches(&document) {
            *found += 1;
            summary.add(&document);
        }
    }
}

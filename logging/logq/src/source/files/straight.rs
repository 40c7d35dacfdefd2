//! The lines of one source as they are shown or counted, made on all cores:
//! for what needs no line twice and no lines around.

use std::sync::atomic::{AtomicUsize, Ordering};

use line::{Line, Origin, Tidy, normalize};

use super::pool::Work;
use crate::{
    filter::Filter,
    render::{Renderer, Style},
    summary::Summary,
};

/// Writes the lines that are wanted.
pub struct Written {
    wanted: Filter,
    style: Style,
    tidy: bool,
    /// Columns of the widest component in the pieces that were given out.
    width: AtomicUsize,
}

/// Some lines as they are shown.
pub struct Piece {
    /// The lines.
    pub shown: Renderer<Vec<u8>>,
    /// How many there are.
    pub found: u64,
    /// The width that the first of them was written with.
    width: usize,
}

impl Written {
    /// Writes in this style the lines that fit the filter.
    pub fn new(wanted: Filter, style: Style) -> Self {
        let shown = Renderer::new(Vec::new(), style.clone());
        Self {
            tidy: shown.is_told_by_tidy() && wanted.asks_only(&Tidy::tells),
            width: AtomicUsize::new(shown.width()),
            wanted,
            style,
        }
    }
}

impl Work for Written {
    type Made = Piece;

    fn nothing(&self) -> Piece {
        let width = self.width.load(Ordering::Relaxed);
        Piece {
            shown: Renderer::new(Vec::new(), self.style.clone()).with_width(width),
            found: 0,
            width,
        }
    }

    fn line(&self, line: &Line<'_>, origin: &Origin, made: &mut Piece) {
        // Writing to a vector does not fail.
        if self.tidy
            && let Some(tidy) = Tidy::read(line, origin)
        {
            if self.wanted.matches(&tidy) {
                made.found += 1;
                let _ = made.shown.tidy(&tidy, &line.content);
            }
            return;
        }
        let document = normalize(line, origin);
        if self.wanted.matches(&document) {
            made.found += 1;
            let _ = made.shown.document(&document, &line.content);
        }
    }

    /// A piece has to go on with the width of the one before it.
    fn accepts(&self, made: &Piece) -> bool {
        let fits = made.width == self.width.load(Ordering::Relaxed);
        if fits {
            self.width.store(made.shown.width(), Ordering::Relaxed);
        }
        fits
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

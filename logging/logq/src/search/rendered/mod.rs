//! Renders or counts lines on all cores, if lines are independent of each other.

use std::{
    io::{self, Write},
    sync::Arc,
};

use log_normalizer::{Origin, RawLine, Time, json::Arena};

use crate::{
    entry::Timed,
    filter::{Filter, Lack, Match, Matcher},
    render::{ComponentColumn, ComponentEnd, Renderer, Style},
    source::files::{SplitWork, Work},
    summary::Summary,
};

/// Renders the matching lines.
pub struct RenderWork {
    matcher: Matcher,
    style: Style,
    renders_records: bool,
}

/// Rendered lines, not yet aligned.
pub struct RenderedBlock {
    out: Renderer<Vec<u8>>,
    lines: Vec<LineEnd>,
}

struct LineEnd {
    end: usize,
    component_end: Option<ComponentEnd>,
    time: Option<Time>,
}

impl RenderedBlock {
    fn push_line(&mut self, component_end: io::Result<Option<ComponentEnd>>, time: Option<Time>) {
        let end = self.out.output().len();
        // Writing to a vector does not fail.
        let component_end = component_end.ok().flatten();
        self.lines.push(LineEnd {
            end,
            component_end,
            time,
        });
    }

    pub fn lines(self) -> impl Iterator<Item = RenderedLine> {
        let shown = Arc::new(RenderedBytes {
            bytes: self.out.into_output(),
            lines: self.lines,
        });
        let number = 0..shown.lines.len();
        number.map(move |number| RenderedLine {
            shown: Arc::clone(&shown),
            number,
        })
    }
}

struct RenderedBytes {
    bytes: Vec<u8>,
    lines: Vec<LineEnd>,
}

pub struct RenderedLine {
    shown: Arc<RenderedBytes>,
    number: usize,
}

impl RenderedLine {
    /// Writes the line, aligned with the previous ones.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, column: &mut ComponentColumn, out: &mut impl Write) -> io::Result<()> {
        let lines = &self.shown.lines;
        let Some(line_end) = lines.get(self.number) else {
            return Ok(());
        };
        let before = self.number.checked_sub(1).and_then(|before| lines.get(before));
        let begin = before.map_or(0, |before| before.end);
        let line = self.shown.bytes.get(begin..line_end.end).unwrap_or_default();
        match line_end.component_end {
            Some(component_end) => column.write(line, component_end, out),
            None => out.write_all(line),
        }
    }

    /// Whether it is the last line of its block.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.number + 1 == self.shown.lines.len()
    }
}

impl Timed for RenderedLine {
    fn time(&self) -> Option<Time> {
        self.shown.lines.get(self.number)?.time
    }
}

impl RenderWork {
    #[must_use]
    pub fn new(filter: Filter, style: Style) -> Self {
        Self {
            renders_records: Renderer::new(Vec::new(), style.clone()).can_render_record(),
            matcher: Matcher::new(filter),
            style,
        }
    }
}

impl Work for RenderWork {
    type Output = RenderedBlock;

    fn empty(&self) -> RenderedBlock {
        RenderedBlock {
            out: Renderer::new(Vec::new(), self.style.clone()),
            lines: Vec::new(),
        }
    }

    fn add_line(
        &self,
        line: &RawLine<'_>,
        origin: &Origin,
        arena: &Arena,
        output: &mut RenderedBlock,
    ) -> Option<Lack> {
        match self.matcher.find(line, origin, arena) {
            Err(lack) => return lack,
            Ok(Match::Record(record)) if self.renders_records && output.out.can_render(&record) => {
                let component_end = output.out.write_unaligned_record(&record, &line.content);
                output.push_line(component_end, record.time());
            }
            Ok(found) => {
                let document = found.into_document();
                let component_end = output.out.write_unaligned(&document, &line.content);
                output.push_line(component_end, document.timestamp());
            }
        }
        None
    }
}

impl SplitWork for RenderWork {
    type Item = RenderedLine;

    fn split(output: RenderedBlock) -> Vec<RenderedLine> {
        output.lines().collect()
    }
}

/// Counts the matching lines by component and level.
pub struct CountWork {
    matcher: Matcher,
}

impl CountWork {
    #[must_use]
    pub fn new(filter: Filter) -> Self {
        Self {
            matcher: Matcher::new(filter),
        }
    }
}

impl Work for CountWork {
    type Output = (Summary, u64);

    fn empty(&self) -> Self::Output {
        (Summary::stats(), 0)
    }

    fn add_line(
        &self,
        line: &RawLine<'_>,
        origin: &Origin,
        arena: &Arena,
        (summary, found): &mut Self::Output,
    ) -> Option<Lack> {
        match self.matcher.find(line, origin, arena) {
            Err(lack) => return lack,
            Ok(Match::Record(record)) => summary.count(record.component(), record.level(), record.time()),
            Ok(Match::Document(document)) => summary.add(&document),
        }
        *found += 1;
        None
    }
}

#[cfg(test)]
mod tests;

//! Splits blocks into lines.

use std::{sync::Arc, time::Duration};

use log_normalizer::{Cri, Joiner, Origin, RawLine, Time, timestamped};
use memchr::memchr;

use super::blocks::{Block, MAX_LINE_BYTES};
use crate::filter::{Filter, LeftOut, Prefilter, has_escapes};

/// Splits the blocks of one source into candidate lines.
#[derive(Debug)]
pub struct LineSplitter {
    pub origin: Origin,
    /// A line without the kubelet's prefix was not written by the kubelet.
    pub is_kubelet: bool,
    prefilter: Prefilter,
    /// Where to count lines that the filter leaves out.
    pub left_out: Option<Arc<LeftOut>>,
}

impl LineSplitter {
    pub fn new(origin: Origin, filter: &Filter) -> Self {
        Self {
            prefilter: Prefilter::new(filter, &origin),
            left_out: filter.left_out(),
            is_kubelet: matches!(origin, Origin::Pod(_)),
            origin,
        }
    }

    /// Calls `take` with every candidate line of the block and of the joiner. Consecutive blocks need the same joiner,
    /// unless it is empty.
    pub fn for_each_line(&self, block: &Block, joiner: &mut Joiner, take: &mut dyn FnMut(&RawLine<'_>)) {
        let bytes = block.bytes();
        let plain = self.prefilter.is_open() || !has_escapes(bytes);
        let mut idle = joiner.due().is_none();
        let mut at = 0;
        while at < bytes.len() {
            let rest = bytes.get(at..).unwrap_or_default();
            let end = memchr(b'\n', rest).unwrap_or(rest.len());
            let line = rest.get(..end.min(MAX_LINE_BYTES)).unwrap_or_default();
            let offset = block.offset + at as u64;
            at += end + 1;
            // A JSON line is never joined.
            if idle && let Some(line) = self.parse_json_line(line, offset) {
                if self.prefilter.may_match(&line, plain) {
                    take(&line);
                }
                continue;
            }
            self.join(line, block, offset, joiner, take);
            idle = joiner.due().is_none();
        }
    }

    /// Flushes the joiner at the end of the source.
    pub fn flush(&self, joiner: &mut Joiner, take: &mut dyn FnMut(&RawLine<'_>)) {
        joiner.flush(&mut |line| self.take_if_admitted(&line, take));
    }

    fn take_if_admitted(&self, line: &RawLine<'_>, take: &mut dyn FnMut(&RawLine<'_>)) {
        if self.prefilter.may_match(line, false) {
            take(line);
        }
    }

    /// A complete JSON line.
    fn parse_json_line<'a>(&self, line: &'a [u8], offset: u64) -> Option<RawLine<'a>> {
        if line.first() == Some(&b'{') {
            return (!self.is_kubelet).then(|| RawLine::plain(line, offset));
        }
        let cri = Cri::parse(line)?;
        (!cri.partial && cri.content.first() == Some(&b'{')).then(|| RawLine::cri(&cri, offset))
    }

    /// Any other line.
    fn join(
        &self,
        bytes: &[u8],
        block: &Block,
        offset: u64,
        joiner: &mut Joiner,
        take: &mut dyn FnMut(&RawLine<'_>),
    ) {
        let Some(part) = PhysicalLine::read(bytes, self.is_kubelet, block.changed, offset) else {
            return;
        };
        part.push(joiner, Duration::ZERO, &mut |line| {
            self.take_if_admitted(&line, take)
        });
    }
}

/// A physical line of a file.
pub struct PhysicalLine<'a> {
    line: RawLine<'a>,
    /// Whether the next physical line continues it.
    partial: bool,
}

impl<'a> PhysicalLine<'a> {
    /// Parses a line without its newline. `is_kubelet`: see [`LineSplitter`]. `changed`: when the file was last
    /// modified. None for an empty kubelet line.
    pub fn read(bytes: &'a [u8], is_kubelet: bool, changed: Option<Time>, offset: u64) -> Option<Self> {
        if let Some(cri) = Cri::parse(bytes) {
            let line = RawLine::cri(&cri, offset);
            return Some(Self {
                line,
                partial: cri.partial,
            });
        }
        let line = if is_kubelet {
            if bytes.is_empty() {
                return None;
            }
            RawLine::unmatched(bytes, changed, offset)
        } else if let Some((time, content)) = timestamped(bytes) {
            RawLine::timed(time, content, offset)
        } else {
            RawLine::plain(bytes, offset)
        };
        Some(Self { line, partial: false })
    }

    /// Passes the line to the joiner; `take` receives complete lines.
    pub fn push(self, joiner: &mut Joiner, now: Duration, take: &mut dyn FnMut(RawLine<'_>)) {
        joiner.push(self.line, self.partial, now, take);
    }
}

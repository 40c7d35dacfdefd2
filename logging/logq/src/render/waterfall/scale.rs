//! Positions on the time axis.

use log_normalizer::Time;

use super::{
    super::{
        duration::format_duration,
        output_width::{pad_end, width},
    },
    row::WaterfallRow,
};

/// Maps times to columns.
pub struct TimeScale {
    pub first: Time,
    last: Time,
    pub columns: usize,
}

impl TimeScale {
    pub const fn new((first, last): (Time, Time), columns: usize) -> Self {
        Self { first, last, columns }
    }

    /// The labels of both ends.
    pub fn header(&self) -> String {
        let whole = format_duration(self.first, self.last);
        let before = self.columns.saturating_sub(width(&whole));
        format!("{}{whole}", pad_end("0", before))
    }

    fn column(&self, time: Time) -> usize {
        let whole = i128::from(self.last.nanos() - self.first.nanos()).max(1);
        let last = self.columns.saturating_sub(1);
        let part = i128::from(time.nanos() - self.first.nanos()) * last as i128 / whole;
        usize::try_from(part).unwrap_or_default().min(last)
    }

    /// A bar or a point.
    pub fn bar(&self, row: &WaterfallRow<'_>) -> String {
        let (from, to) = (self.column(row.begin), self.column(row.end));
        let mark = match (row.is_untraced, row.begin == row.end) {
            (true, _) => "~",
            (false, true) => "·",
            (false, false) => "━",
        };
        let bar = format!("{}{}", " ".repeat(from), mark.repeat(to.saturating_sub(from) + 1));
        pad_end(&bar, self.columns)
    }
}

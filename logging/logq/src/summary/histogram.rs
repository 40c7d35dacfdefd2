//! Counts lines over time.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use log_normalizer::Time;
use schema::level;
use serde_json::{Value, json};

use super::format::{SummaryFormat, json_time};

/// Possible bar widths, seconds. Each is a multiple of the previous one, so that bars can be merged.
const WIDTHS: [i64; 12] = [1, 5, 10, 30, 60, 300, 900, 1_800, 3_600, 10_800, 43_200, DAY];

const DAY: i64 = 86_400;

/// Maximum number of bars, unless the width is a day.
const MAX_BARS: i64 = 40;

/// Longer sequences of empty bars share a row.
const MAX_EMPTY_ROWS: i64 = 5;

/// Width of the longest bar.
const MAX_BAR_COLUMNS: usize = 50;

/// Columns before the bars.
const LABEL_COLUMNS: usize = 19 + 2 + 8 + 2 + 10 + 2;

const NANOS: i64 = 1_000_000_000;

/// The levels with their own count.
pub const WARN_OR_ERROR: [&str; 2] = [level::ERROR, level::WARN];

#[derive(Clone, Debug, Default)]
pub struct Histogram {
    /// Index into [`WIDTHS`]; grows with the range.
    width: usize,
    /// By bar number since 1970: all lines, and those of level warn or error.
    bars: BTreeMap<i64, (u64, u64)>,
    untimed: u64,
}

/// A bar with its number and counts, or a number of empty bars.
enum HistogramRow {
    Bar(i64, (u64, u64)),
    Empty(i64),
}

impl Histogram {
    /// An empty histogram for a time range.
    pub fn spanning(first: Time, last: Time) -> Self {
        let mut histogram = Self::default();
        histogram.add(Some(first), 0, 0);
        histogram.add(Some(last), 0, 0);
        histogram.bars.clear();
        histogram
    }

    /// The width of a bar, seconds.
    pub fn seconds(&self) -> i64 {
        WIDTHS.get(self.width).copied().unwrap_or(DAY)
    }

    /// Adds lines with this time, or of the bar that starts then.
    pub fn add(&mut self, time: Option<Time>, lines: u64, warn_or_error: u64) {
        let Some(time) = time else {
            self.untimed += lines;
            return;
        };
        let number = time.nanos().div_euclid(NANOS * self.seconds());
        let bar = self.bars.entry(number).or_default();
        bar.0 += lines;
        bar.1 += warn_or_error;
        while self.span() > MAX_BARS && self.width + 1 < WIDTHS.len() {
            self.widen();
        }
    }

    fn span(&self) -> i64 {
        match (self.bars.first_key_value(), self.bars.last_key_value()) {
            (Some((first, _)), Some((last, _))) => last - first + 1,
            _ => 0,
        }
    }

    fn widen(&mut self) {
        let before = self.seconds();
        self.width += 1;
        let mut bars: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        for (number, (all, warn_or_error)) in std::mem::take(&mut self.bars) {
            let bar = bars
                .entry((number * before).div_euclid(self.seconds()))
                .or_default();
            bar.0 += all;
            bar.1 += warn_or_error;
        }
        self.bars = bars;
    }

    /// The rows from the first to the last line. A long sequence of empty bars is one row.
    fn rows(&self) -> Vec<HistogramRow> {
        let mut rows = Vec::new();
        let mut next = None;
        for (number, counts) in &self.bars {
            let first = next.unwrap_or(*number);
            if number - first > MAX_EMPTY_ROWS {
                rows.push(HistogramRow::Empty(number - first));
            } else {
                rows.extend((first..*number).map(|number| HistogramRow::Bar(number, (0, 0))));
            }
            rows.push(HistogramRow::Bar(*number, *counts));
            next = Some(number + 1);
        }
        rows
    }

    fn begin(&self, number: i64) -> Time {
        Time::from_nanos(number.saturating_mul(self.seconds() * NANOS))
    }

    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, format: &SummaryFormat, out: &mut impl Write) -> io::Result<()> {
        if format.json(|| self.json(), out)? {
            return Ok(());
        }
        let rows = self.rows();
        let max_lines = self.bars.values().map(|(all, _)| *all).max().unwrap_or_default();
        let room = format
            .width
            .columns
            .saturating_sub(LABEL_COLUMNS)
            .clamp(10, MAX_BAR_COLUMNS) as u64;
        if !rows.is_empty() {
            writeln!(out, "{:<19}  {:>8}  {:>10}", "from", "lines", "warn+error")?;
        }
        for row in rows {
            match row {
                HistogramRow::Bar(number, (all, warn_or_error)) => {
                    let columns = (all * room).div_ceil(max_lines.max(1));
                    let full = (warn_or_error * room).div_ceil(max_lines.max(1)).min(columns);
                    let bar: String = (0..columns)
                        .map(|column| if column < full { '█' } else { '░' })
                        .collect();
                    let begin = format.datetime_seconds(self.begin(number));
                    let row = format!("{begin}  {all:>8}  {warn_or_error:>10}  {bar}");
                    writeln!(out, "{}", row.trim_end())?;
                }
                HistogramRow::Empty(bars) => {
                    let span = format_width(bars.saturating_mul(self.seconds()));
                    writeln!(out, "{:<19}  {:>8}  ({span} without a line)", "…", 0)?;
                }
            }
        }
        if max_lines > 0 {
            let each = format_width(self.seconds());
            let block = match max_lines.div_ceil(room) {
                1 => "one line".to_owned(),
                lines => format!("up to {lines} lines"),
            };
            writeln!(
                out,
                "each row is {each}; █ warn and error, ░ other lines; each block is {block}"
            )?;
        }
        if self.untimed > 0 {
            writeln!(out, "{} lines without a time", self.untimed)?;
        }
        Ok(())
    }

    fn json(&self) -> Vec<Value> {
        let untimed = (self.untimed > 0).then(|| json!({ "from": null, "to": null, "lines": self.untimed }));
        let bars = self.bars.iter().map(|(number, (all, warn_or_error))| {
            json!({
                "from": json_time(self.begin(*number)), "to": json_time(self.begin(number + 1)),
                "lines": all, "warn_or_error": warn_or_error,
            })
        });
        bars.chain(untimed).collect()
    }
}

/// Formats a width in the largest possible unit.
fn format_width(seconds: i64) -> String {
    let units = [(DAY, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(unit, _)| seconds % unit == 0);
    let (unit, name) = unit.unwrap_or((1, "s"));
    format!("{} {name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Each line counts in the bar of its time, in any order of arrival.
        #[test]
        fn judgement_does_not_depend_on_the_line_order(
            mut seconds in prop::collection::vec(0_i64..3_000_000, 1..60), scale in 0_u32..6,
        ) {
            seconds.iter_mut().for_each(|second| *second /= 10_i64.pow(scale));
            let counted = |seconds: &[i64]| {
                let mut histogram = Histogram::default();
                for second in seconds {
                    histogram.add(Some(Time::from_nanos(second * NANOS + 7)), 1, 0);
                }
                (histogram.seconds(), histogram.bars)
            };
            let (width, bars) = counted(&seconds);
            for second in &seconds {
                prop_assert!(bars.contains_key(&(second / width)));
            }
            prop_assert_eq!(bars.values().map(|(all, _)| all).sum::<u64>(), seconds.len() as u64);
            seconds.sort_unstable();
            prop_assert_eq!(&counted(&seconds), &(width, bars.clone()));
            seconds.reverse();
            prop_assert_eq!(&counted(&seconds), &(width, bars.clone()));
            let spanning = Histogram::spanning(
                Time::from_nanos(seconds[seconds.len() - 1] * NANOS), Time::from_nanos(seconds[0] * NANOS),
            );
            prop_assert_eq!(spanning.seconds(), width);
        }
    }
}

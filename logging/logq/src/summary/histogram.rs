//! Lines over time.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use chrono::{DateTime, Local};
use line::Document;
use schema::level;

/// Widths of a bar's span, seconds: what people count in.
const WIDTHS: [i64; 17] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400,
];

/// At most so many bars.
const MOST_BARS: i64 = 40;

/// Columns of the longest bar.
const COLUMNS: u64 = 50;

const NANOS: i64 = 1_000_000_000;

/// Counts of lines over time.
pub struct Histogram {
    utc: bool,
    /// Index into [`WIDTHS`]: grows with the span.
    width: usize,
    /// By the bar's number since 1970: all lines, and those that are grave.
    bars: BTreeMap<i64, (u64, u64)>,
    timeless: u64,
}

impl Histogram {
    /// Nothing counted yet.
    pub const fn new(utc: bool) -> Self {
        Self {
            utc,
            width: 0,
            bars: BTreeMap::new(),
            timeless: 0,
        }
    }

    fn seconds(&self) -> i64 {
        WIDTHS.get(self.width).copied().unwrap_or(86_400)
    }

    /// Counts a line.
    pub fn add(&mut self, document: &Document) {
        let Some(time) = document.timestamp() else {
            self.timeless += 1;
            return;
        };
        let grave = matches!(document.level(), Some(level::ERROR | level::WARN));
        let bar = self
            .bars
            .entry(time.nanos() / NANOS / self.seconds())
            .or_default();
        bar.0 += 1;
        bar.1 += u64::from(grave);
        while self.span() > MOST_BARS && self.width + 1 < WIDTHS.len() {
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
        for (number, (all, grave)) in std::mem::take(&mut self.bars) {
            // Not each width is a multiple of the one before: a bar goes
            // where it begins.
            let bar = bars.entry(number * before / self.seconds()).or_default();
            bar.0 += all;
            bar.1 += grave;
        }
        self.bars = bars;
    }

    /// Writes a bar for each span between the first line and the last, those
    /// without lines included.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let most = self.bars.values().map(|(all, _)| *all).max().unwrap_or_default();
        if let (Some((first, _)), Some((last, _))) = (self.bars.first_key_value(), self.bars.last_key_value())
        {
            for number in (*first..=*last).take(10_000) {
                let (all, grave) = self.bars.get(&number).copied().unwrap_or_default();
                let columns = (all * COLUMNS).div_ceil(most.max(1));
                let red = (grave * COLUMNS).div_ceil(most.max(1)).min(columns);
                let bar: String = (0..columns)
                    .map(|column| if column < red { '█' } else { '░' })
                    .collect();
                writeln!(out, "{} {all:>8} {grave:>8} {bar}", self.label(number))?;
            }
            writeln!(
                out,
                "each bar {} s; lines, those of level warn and error (█)",
                self.seconds()
            )?;
        }
        if self.timeless > 0 {
            writeln!(out, "{} lines without a time", self.timeless)?;
        }
        Ok(())
    }

    fn label(&self, number: i64) -> String {
        const FORMAT: &str = "%Y-%m-%d %H:%M:%S";
        let utc = DateTime::from_timestamp(number * self.seconds(), 0).unwrap_or_default();
        if self.utc {
            utc.format(FORMAT).to_string()
        } else {
            utc.with_timezone(&Local).format(FORMAT).to_string()
        }
    }
}

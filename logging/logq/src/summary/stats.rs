//! Counts lines by component and level.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use log_normalizer::Time;
use schema::level;
use serde_json::{Map, Value, json};
use terminal::escaped;

use super::format::{SummaryFormat, json_time};
use crate::render::{format_duration, pad_end, width};

/// The name for lines without a component.
pub const NO_COMPONENT: &str = "-";

/// The name for lines without a level, or with an unknown one.
const NO_LEVEL: &str = "none";

/// The times of the oldest and newest line.
pub type Span = Option<(Time, Time)>;

#[derive(Clone, Debug, Default)]
pub struct Stats(BTreeMap<String, StatsRow>);

#[derive(Clone, Debug, Default)]
struct StatsRow {
    /// By level, most severe first; lines without a level last.
    levels: [u64; 6],
    span: Span,
}

impl Stats {
    /// Empty counts, with a row for each of these components.
    pub fn with_components<'n>(named: impl IntoIterator<Item = &'n str>) -> Self {
        Self(
            named
                .into_iter()
                .map(|name| (name.to_owned(), StatsRow::default()))
                .collect(),
        )
    }

    /// Adds lines of a component and level, with their times.
    pub fn add(&mut self, component: Option<&str>, level: Option<&str>, lines: u64, span: Span) {
        let component = component.unwrap_or(NO_COMPONENT);
        if !self.0.contains_key(component) {
            self.0.insert(component.to_owned(), StatsRow::default());
        }
        let Some(row) = self.0.get_mut(component) else {
            return;
        };
        let rank = level.and_then(|name| level::ALL.iter().position(|level| *level == name));
        if let Some(count) = row.levels.get_mut(rank.unwrap_or(level::ALL.len())) {
            *count += lines;
        }
        row.span = union(row.span, span);
    }

    pub fn merge(&mut self, other: Self) {
        for (component, other) in other.0 {
            self.0.entry(component).or_default().merge(&other);
        }
    }

    fn all(&self) -> StatsRow {
        let mut all = StatsRow::default();
        self.0.values().for_each(|row| all.merge(row));
        all
    }

    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, format: &SummaryFormat, out: &mut impl Write) -> io::Result<()> {
        if format.json(|| self.json(format), out)? {
            return Ok(());
        }
        let levels = level::ALL.into_iter().chain([NO_LEVEL]);
        let head = ["component", "lines"].into_iter().chain(levels);
        let mut table = StatsTable::new(head.chain(["newest", "age"]));
        for (component, row) in &self.0 {
            table.row(row.cells(escaped(component), format));
        }
        let all = self.all();
        if self.0.len() > 1 {
            table.row(all.cells("all".to_owned(), format));
        }
        table.write(out)?;
        match all.span {
            Some((first, last)) => {
                writeln!(
                    out,
                    "from {} to {}",
                    format.datetime_millis(first),
                    format.datetime_millis(last)
                )
            }
            None => Ok(()),
        }
    }

    fn json(&self, format: &SummaryFormat) -> Vec<Value> {
        let rows = self.0.iter().map(|(component, row)| {
            let levels = level::ALL.into_iter().chain([NO_LEVEL]).zip(row.levels);
            let levels: Map<String, Value> = levels
                .map(|(level, lines)| (level.to_owned(), json!(lines)))
                .collect();
            json!({
                "component": component,
                "lines": row.lines(),
                "levels": levels,
                "oldest": row.span.map(|(oldest, _)| json_time(oldest)),
                "newest": row.span.map(|(_, newest)| json_time(newest)),
                "age_seconds": row.span.map(|(_, newest)| (format.now.nanos() - newest.nanos()) / 1_000_000)
                    .map(|millis| millis as f64 / 1e3),
            })
        });
        rows.collect()
    }
}

impl StatsRow {
    fn merge(&mut self, other: &Self) {
        for (count, more) in self.levels.iter_mut().zip(other.levels) {
            *count += more;
        }
        self.span = union(self.span, other.span);
    }

    fn lines(&self) -> u64 {
        self.levels.iter().sum()
    }

    fn cells(&self, name: String, format: &SummaryFormat) -> Vec<String> {
        let counts = [self.lines()].into_iter().chain(self.levels);
        let newest = match self.span {
            Some((_, newest)) => [
                format.datetime_millis(newest),
                format_duration(newest, format.now),
            ],
            None => Default::default(),
        };
        let counts = counts.map(|count| count.to_string());
        [name].into_iter().chain(counts).chain(newest).collect()
    }
}

fn union(one: Span, other: Span) -> Span {
    let (Some((a, b)), Some((c, d))) = (one, other) else {
        return one.or(other);
    };
    Some((a.min(c), b.max(d)))
}

/// A table with right-aligned columns after the first.
struct StatsTable(Vec<Vec<String>>);

impl StatsTable {
    fn new(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self(vec![head.into_iter().map(str::to_owned).collect()])
    }

    fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let columns = self.0.first().map_or(0, Vec::len);
        let widths: Vec<usize> = (0..columns)
            .map(|column| {
                let cells = self.0.iter().filter_map(|row| row.get(column));
                cells.map(|cell| width(cell)).max().unwrap_or_default()
            })
            .collect();
        for row in &self.0 {
            let mut line = String::new();
            for (number, (cell, columns)) in row.iter().zip(&widths).enumerate() {
                if number == 0 {
                    line.push_str(&pad_end(cell, *columns));
                } else {
                    line.push_str(&" ".repeat(2 + columns.saturating_sub(width(cell))));
                    line.push_str(cell);
                }
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

//! Numbers in place of lines.

mod histogram;
mod table;

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use line::Document;
use schema::level;
use serde_json::Value;
use terminal::escaped;

use self::histogram::Histogram;
use crate::cli::Show;

/// A summary that is none.
#[derive(Debug, thiserror::Error)]
pub enum NoSummary {
    /// `--top` without a field.
    #[error("--top: {0:?} is no field's name")]
    Field(String),
}

/// Different values of a field that are told apart; all others share a row.
const MOST_VALUES: usize = 100_000;

/// Rows of `--top`.
const TOP_ROWS: usize = 20;

/// What is counted.
pub enum Summary {
    /// Lines by component and level.
    Stats(BTreeMap<String, Row>),
    /// Lines over time.
    Histogram(Histogram),
    /// The most frequent values of a field.
    Top {
        /// The field.
        field: String,
        /// How often each value was there.
        counts: BTreeMap<String, u64>,
        /// How often one that came when there were too many.
        others: u64,
    },
}

/// A component's lines.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// By level, the gravest first; those without a level last.
    levels: [u64; 6],
    /// The times of the oldest and the newest.
    span: Span,
}

impl Summary {
    /// Reads the options; none where lines are to be shown.
    ///
    /// # Errors
    /// [`NoSummary`].
    pub fn of(show: &Show) -> Result<Option<Self>, NoSummary> {
        if show.stats {
            return Ok(Some(Self::stats()));
        }
        if show.histogram {
            return Ok(Some(Self::Histogram(Histogram::new(show.utc))));
        }
        let Some(field) = &show.top else { return Ok(None) };
        if field.trim().is_empty() {
            return Err(NoSummary::Field(field.clone()));
        }
        Ok(Some(Self::Top {
            field: field.trim().to_owned(),
            counts: BTreeMap::new(),
            others: 0,
        }))
    }

    /// Lines by component and level.
    #[must_use]
    pub const fn stats() -> Self {
        Self::Stats(BTreeMap::new())
    }

    /// Adds what was counted elsewhere by component and level.
    pub fn join(&mut self, other: Self) {
        if let (Self::Stats(rows), Self::Stats(others)) = (self, other) {
            for (component, other) in others {
                rows.entry(component).or_default().join(&other);
            }
        }
    }

    /// Counts a line by component and level.
    pub fn count(&mut self, component: Option<&str>, level: Option<&str>, time: Option<line::Time>) {
        let Self::Stats(rows) = self else { return };
        let component = component.unwrap_or("-");
        if !rows.contains_key(component) {
            rows.insert(component.to_owned(), Row::default());
        }
        if let Some(row) = rows.get_mut(component) {
            row.add(level, time);
        }
    }

    /// Counts a line.
    pub fn add(&mut self, document: &Document) {
        match self {
            Self::Stats(_) => self.count(document.component(), document.level(), document.timestamp()),
            Self::Histogram(histogram) => histogram.add(document),
            Self::Top {
                field,
                counts,
                others,
            } => {
                let value = match document.get(field) {
                    None | Some(Value::Null) => return,
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                };
                if counts.len() < MOST_VALUES || counts.contains_key(&value) {
                    *counts.entry(value).or_default() += 1;
                } else {
                    *others += 1;
                }
            }
        }
    }

    /// Writes what was counted.
    ///
    /// # Errors
    /// The output's.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::Stats(rows) => stats(rows, out),
            Self::Histogram(histogram) => histogram.write(out),
            Self::Top {
                field,
                counts,
                others,
            } => top(field, counts, *others, out),
        }
    }
}

impl Row {
    fn add(&mut self, level: Option<&str>, time: Option<line::Time>) {
        let rank = level.and_then(|own| level::ALL.iter().position(|level| *level == own));
        if let Some(count) = self.levels.get_mut(rank.unwrap_or(level::ALL.len())) {
            *count += 1;
        }
        self.span = widest(self.span, time.map(|time| (time, time)));
    }

    fn join(&mut self, other: &Self) {
        for (count, more) in self.levels.iter_mut().zip(other.levels) {
            *count += more;
        }
        self.span = widest(self.span, other.span);
    }
}

type Span = Option<(line::Time, line::Time)>;

/// From the first to the last of both.
fn widest(one: Span, other: Span) -> Span {
    let (Some((a, b)), Some((c, d))) = (one, other) else {
        return one.or(other);
    };
    Some((a.min(c), b.max(d)))
}

fn stats(rows: &BTreeMap<String, Row>, out: &mut impl Write) -> io::Result<()> {
    let mut table = table::Table::new([
        "component",
        "lines",
        "error",
        "warn",
        "info",
        "debug",
        "trace",
        "none",
    ]);
    let mut sum = [0_u64; 6];
    for (component, row) in rows {
        for (sum, count) in sum.iter_mut().zip(row.levels) {
            *sum += count;
        }
        table.row(escaped(component), row.levels);
    }
    if rows.len() > 1 {
        table.row("all".to_owned(), sum);
    }
    table.write(out)?;
    let span = rows.values().map(|row| row.span).fold(None, widest);
    match span {
        Some((first, last)) => writeln!(out, "from {first} to {last}"),
        None => Ok(()),
    }
}

fn top(field: &str, counts: &BTreeMap<String, u64>, others: u64, out: &mut impl Write) -> io::Result<()> {
    let mut rows: Vec<(&String, &u64)> = counts.iter().collect();
    rows.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
    let sum: u64 = counts.values().sum::<u64>() + others;
    writeln!(out, "{:>10} {:>6}  {}", "lines", "share", escaped(field))?;
    for (value, count) in rows.iter().take(TOP_ROWS) {
        let share = **count as f64 * 100.0 / sum as f64;
        writeln!(out, "{count:>10} {share:>5.1}%  {}", escaped(value))?;
    }
    let hidden = rows.len().saturating_sub(TOP_ROWS);
    if hidden > 0 || others > 0 {
        let rest: u64 = rows.iter().skip(TOP_ROWS).map(|(_, count)| **count).sum::<u64>() + others;
        writeln!(out, "{rest:>10} {:>6}  (other values)", "")?;
    }
    Ok(())
}

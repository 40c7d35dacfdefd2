//! Counts the values of a field.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use serde_json::{Value, json};
use terminal::escaped;

use super::format::SummaryFormat;

/// Maximum number of distinct values; others share a row.
const MAX_VALUES: usize = 100_000;

const DEFAULT_ROWS: usize = 20;

#[derive(Clone, Debug)]
pub struct Top {
    field: String,
    counts: BTreeMap<String, u64>,
    /// Lines with a value beyond the maximum.
    others: u64,
    /// Number of values to show.
    rows: usize,
}

impl Top {
    pub fn new(field: String, limit: Option<usize>) -> Self {
        Self {
            field,
            counts: BTreeMap::new(),
            others: 0,
            rows: limit.unwrap_or(DEFAULT_ROWS),
        }
    }

    pub fn field(&self) -> &str {
        &self.field
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Adds lines with this value, unless it is null.
    pub fn add(&mut self, value: &Value, lines: u64) {
        let value = match value {
            Value::Null => return,
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        if self.counts.len() < MAX_VALUES || self.counts.contains_key(&value) {
            *self.counts.entry(value).or_default() += lines;
        } else {
            self.others += lines;
        }
    }

    fn sum(&self) -> u64 {
        self.counts.values().sum::<u64>() + self.others
    }

    /// The most frequent values, and the number of lines with others.
    fn rows(&self) -> (Vec<(&String, u64)>, u64) {
        let mut rows: Vec<_> = self.counts.iter().map(|(value, count)| (value, *count)).collect();
        rows.sort_by(|(a, m), (b, n)| n.cmp(m).then(a.cmp(b)));
        rows.truncate(self.rows);
        let shown: u64 = rows.iter().map(|(_, count)| count).sum();
        (rows, self.sum() - shown)
    }

    /// # Errors
    /// An I/O error of the output.
    pub fn write(&self, format: &SummaryFormat, out: &mut impl Write) -> io::Result<()> {
        let (rows, rest) = self.rows();
        if format.json(|| self.json(&rows, rest), out)? {
            return Ok(());
        }
        writeln!(out, "{:>10} {:>6}  {}", "lines", "share", escaped(&self.field))?;
        for (value, count) in rows {
            let share = count as f64 * 100.0 / self.sum() as f64;
            writeln!(out, "{count:>10} {share:>5.1}%  {}", escaped(value))?;
        }
        if rest > 0 {
            writeln!(out, "{rest:>10} {:>6}  (other values)", "")?;
        }
        Ok(())
    }

    fn json(&self, rows: &[(&String, u64)], rest: u64) -> Vec<Value> {
        let others = (rest > 0).then_some((None, rest));
        let rows = rows.iter().map(|(value, count)| (Some(value), *count));
        rows.chain(others)
            .map(|(value, count)| {
                let share = count as f64 / self.sum() as f64;
                json!({ "field": self.field, "value": value, "lines": count, "share": share })
            })
            .collect()
    }
}

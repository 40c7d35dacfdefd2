//! A table: the first column is a name, the others are as wide as they must be.

use std::io::{self, Write};

use crate::render::{padded, width};

/// Rows of texts.
pub struct Table(Vec<Vec<String>>);

impl Table {
    /// A table with this head.
    pub fn new(head: impl IntoIterator<Item = &'static str>) -> Self {
        Self(vec![head.into_iter().map(str::to_owned).collect()])
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<String>) {
        self.0.push(cells);
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
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
                    line.push_str(&padded(cell, *columns));
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

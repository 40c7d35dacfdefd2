//! A table of numbers.

use std::io::{self, Write};

/// Rows of a name and six counts; the first column of numbers is their sum.
pub struct Table {
    head: [&'static str; 8],
    rows: Vec<(String, [u64; 6])>,
}

impl Table {
    /// A table with this head.
    pub const fn new(head: [&'static str; 8]) -> Self {
        Self {
            head,
            rows: Vec::new(),
        }
    }

    /// Adds a row.
    pub fn row(&mut self, name: String, counts: [u64; 6]) {
        self.rows.push((name, counts));
    }

    /// Writes it.
    pub fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let [name, numbers @ ..] = self.head;
        let names = self.rows.iter().map(|(name, _)| name.chars().count());
        let width = names.chain([name.len()]).max().unwrap_or_default();
        write!(out, "{name:<width$}")?;
        for number in numbers {
            write!(out, " {number:>9}")?;
        }
        writeln!(out)?;
        for (name, counts) in &self.rows {
            write!(out, "{name:<width$} {:>9}", counts.iter().sum::<u64>())?;
            for count in counts {
                write!(out, " {count:>9}")?;
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

//! One trace over time.
//!
//! A line that tells how long something took was written at its end: it is
//! drawn from its beginning. Others are drawn as points.

mod bar;
mod head;
mod row;
mod tell;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use line::Time;
use terminal::escaped;

use self::{
    bar::Scale,
    row::{Row, rows},
};
use super::{
    colour::Palette,
    length::length,
    page::{Page, padded, width},
    pretty::RELATED,
};
use crate::source::Entry;

/// Columns of a time.
const TIME: usize = 8;

/// How a waterfall is to be.
#[derive(Clone, Copy, Debug)]
pub struct Waterfall {
    /// Colours, or none.
    pub palette: Palette,
    /// Times in UTC.
    pub utc: bool,
    /// What it is drawn on.
    pub page: Page,
}

impl Waterfall {
    /// Draws the lines of one trace, in the order in which what they tell of
    /// began: when that was, how long after the one before, how long it took,
    /// and what it was. Lines that are only related can come before and after
    /// the trace.
    ///
    /// # Errors
    /// The output's.
    pub fn draw(&self, entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
        let rows = rows(entries);
        let Some(span) = row::span(&rows) else {
            return Ok(());
        };
        self.head(&rows, span, out)?;
        writeln!(out)?;
        let layout = Layout::of(&rows, span, self.page);
        let dim = self.palette.dim;
        writeln!(
            out,
            "{dim}{:>TIME$} {:>TIME$} {} {} {:>TIME$} what{dim:#}",
            "start",
            "gap",
            padded("component", layout.label),
            layout.scale.head(),
            "took",
        )?;
        let mut before = None;
        for row in &rows {
            self.row(row, before, &layout, out)?;
            before = Some(row.begin);
        }
        Ok(())
    }

    fn row(
        &self,
        row: &Row<'_>,
        before: Option<Time>,
        layout: &Layout,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Palette { dim, component, .. } = self.palette;
        let style = self.palette.level(row.document.level());
        let gap = before.map_or_else(String::new, |before| format!("+{}", length(before, row.begin)));
        let took = if row.begin < row.end {
            length(row.begin, row.end)
        } else {
            String::new()
        };
        let told = tell::what(row.document);
        let told = if row.is_related {
            format!("{RELATED}: {told}")
        } else {
            told
        };
        let (grave, columns) = match tell::grave(row.document) {
            Some(grave) => (
                format!("{style}{grave}{style:#} "),
                layout.what.saturating_sub(grave.len() + 1),
            ),
            None => (String::new(), layout.what),
        };
        writeln!(
            out,
            "{dim}{:>TIME$} {gap:>TIME$}{dim:#} {component}{}{component:#} {style}{}{style:#} {dim}{took:>TIME$}{dim:#} {grave}{}",
            length(layout.scale.first, row.begin),
            padded(&self.page.end(&layout.label(row), layout.label), layout.label),
            layout.scale.bar(row),
            self.page.beginning(&told, columns),
        )?;
        let indent = layout.indent();
        let columns = self.page.columns.saturating_sub(indent + 2);
        let parts = tell::why(row.document).map(|why| (why, style));
        for (text, style) in parts
            .into_iter()
            .chain(tell::stages(row.document).map(|text| (text, dim)))
        {
            let lines = self.page.wrapped(text.split(' '), " ", columns);
            for (number, line) in lines.iter().enumerate() {
                let mark = if number == 0 { '↳' } else { ' ' };
                writeln!(out, "{:indent$}{dim}{mark}{dim:#} {style}{line}{style:#}", "")?;
            }
        }
        Ok(())
    }
}

/// What stands in which columns.
struct Layout {
    /// Columns of the names.
    label: usize,
    /// Columns of what happened.
    what: usize,
    scale: Scale,
    /// The components of which there are lines of several pods.
    several: BTreeSet<String>,
}

impl Layout {
    fn of(rows: &[Row<'_>], span: (Time, Time), page: Page) -> Self {
        let mut layout = Self {
            label: 0,
            what: 0,
            scale: Scale::new(span, 0),
            several: several(rows),
        };
        let labels = rows.iter().map(|row| width(&layout.label(row)));
        let widest = labels.chain(["component".len()]).max().unwrap_or_default();
        layout.label = if page.cuts {
            widest.min(page.columns / 5)
        } else {
            widest
        };
        let taken = TIME + 1 + TIME + 1 + layout.label + 1 + 1 + TIME + 1;
        let left = page.columns.saturating_sub(taken);
        let columns = (left * 2 / 5).clamp(9, 60);
        layout.scale = Scale::new(span, columns);
        layout.what = left.saturating_sub(columns).max(8);
        layout
    }

    /// Whose line it is: also which pod's, where there are several.
    fn label(&self, row: &Row<'_>) -> String {
        let component = row.component();
        let pod = row.pod().filter(|_| self.several.contains(component));
        escaped(&match pod {
            Some(pod) if pod.starts_with(component) => pod.to_owned(),
            Some(pod) => format!("{component}/{pod}"),
            None => component.to_owned(),
        })
    }

    /// Where what belongs to a row stands below it: a narrow page has no
    /// room below what happened.
    fn indent(&self) -> usize {
        let before = TIME + 1 + TIME + 1;
        if self.what < 40 {
            before
        } else {
            before + self.label + 1 + self.scale.columns + 1 + TIME + 1
        }
    }
}

fn several(rows: &[Row<'_>]) -> BTreeSet<String> {
    let mut pods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        pods.entry(row.component()).or_default().extend(row.pod());
    }
    let several = pods.into_iter().filter(|(_, pods)| pods.len() > 1);
    several.map(|(component, _)| component.to_owned()).collect()
}

//! A trace over time.
//!
//! A program writes a line with a duration at the end of the operation, so its bar starts earlier. Other lines are
//! points.

mod describe;
mod header;
mod row;
mod scale;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use log_normalizer::Time;
use terminal::escaped;

use self::{
    row::{WaterfallRow, rows},
    scale::TimeScale,
};
use super::{
    duration::format_duration,
    output_width::{OutputWidth, pad_end, width},
    palette::Palette,
};
use crate::entry::Entry;

/// Width of a time column.
const TIME_COLUMNS: usize = 8;

/// Options of a waterfall.
#[derive(Clone, Copy, Debug)]
pub struct Waterfall {
    pub palette: Palette,
    /// Show times in UTC.
    pub utc: bool,
    pub width: OutputWidth,
}

impl Waterfall {
    /// Draws the lines of one trace in order of their start: start, gap to the previous line, bar, duration and
    /// description. Lines without a trace id, `~`, may precede or follow the trace.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn draw(&self, entries: &[Entry], out: &mut impl Write) -> io::Result<()> {
        let rows = rows(entries);
        let Some(span) = row::span(&rows) else {
            return Ok(());
        };
        self.write_header(&rows, span, out)?;
        writeln!(out)?;
        let layout = WaterfallLayout::new(&rows, span, self.width);
        let dim = self.palette.dim;
        writeln!(
            out,
            "{dim}{:>TIME_COLUMNS$} {:>TIME_COLUMNS$} {} {} {:>TIME_COLUMNS$} what{dim:#}",
            "start",
            "gap",
            pad_end("component", layout.label),
            layout.scale.header(),
            "took",
        )?;
        let mut before = None;
        for row in &rows {
            self.write_row(row, before, &layout, out)?;
            before = Some(row.begin);
        }
        Ok(())
    }

    fn write_row(
        &self,
        row: &WaterfallRow<'_>,
        before: Option<Time>,
        layout: &WaterfallLayout,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let Palette { dim, component, .. } = self.palette;
        let style = self.palette.level(row.document.level());
        let gap = before.map_or_else(String::new, |before| {
            format!("+{}", format_duration(before, row.begin))
        });
        let took = if row.begin < row.end {
            format_duration(row.begin, row.end)
        } else {
            String::new()
        };
        let description = describe::describe(row.document);
        let (severity, columns) = match describe::severity_mark(row.document) {
            Some(severity) => (
                format!("{style}{severity}{style:#} "),
                layout.description_columns.saturating_sub(severity.len() + 1),
            ),
            None => (String::new(), layout.description_columns),
        };
        writeln!(
            out,
            "{dim}{:>TIME_COLUMNS$} {gap:>TIME_COLUMNS$}{dim:#} {component}{}{component:#} {style}{}{style:#} {dim}{took:>TIME_COLUMNS$}{dim:#} {severity}{}",
            format_duration(layout.scale.first, row.begin),
            pad_end(
                &self.width.truncate_start(&layout.label(row), layout.label),
                layout.label
            ),
            layout.scale.bar(row),
            self.width.truncate_end(&description, columns),
        )?;
        let indent = layout.indent();
        let columns = self.width.columns.saturating_sub(indent + 2);
        let parts = describe::failure_reason(row.document).map(|why| (why, style));
        for (text, style) in parts
            .into_iter()
            .chain(describe::stage_durations(row.document).map(|text| (text, dim)))
        {
            let lines = self.width.wrap(text.split(' '), " ", columns);
            for (number, line) in lines.iter().enumerate() {
                let mark = if number == 0 { '↳' } else { ' ' };
                writeln!(out, "{:indent$}{dim}{mark}{dim:#} {style}{line}{style:#}", "")?;
            }
        }
        Ok(())
    }
}

/// The column layout.
struct WaterfallLayout {
    /// Width of the name column.
    label: usize,
    /// Width of the description column.
    description_columns: usize,
    scale: TimeScale,
    /// Components with lines of several pods.
    multi_pod: BTreeSet<String>,
}

impl WaterfallLayout {
    fn new(rows: &[WaterfallRow<'_>], span: (Time, Time), output: OutputWidth) -> Self {
        let mut layout = Self {
            label: 0,
            description_columns: 0,
            scale: TimeScale::new(span, 0),
            multi_pod: components_with_several_pods(rows),
        };
        let labels = rows.iter().map(|row| width(&layout.label(row)));
        let widest = labels.chain(["component".len()]).max().unwrap_or_default();
        layout.label = if output.truncates {
            widest.min(output.columns / 5)
        } else {
            widest
        };
        let taken = TIME_COLUMNS + 1 + TIME_COLUMNS + 1 + layout.label + 1 + 1 + TIME_COLUMNS + 1;
        let left = output.columns.saturating_sub(taken);
        let columns = (left * 2 / 5).clamp(9, 60);
        layout.scale = TimeScale::new(span, columns);
        layout.description_columns = left.saturating_sub(columns).max(8);
        layout
    }

    /// The component, and its pod if there are several.
    fn label(&self, row: &WaterfallRow<'_>) -> String {
        let component = row.component();
        let pod = row.pod().filter(|_| self.multi_pod.contains(component));
        escaped(&match pod {
            Some(pod) if pod.starts_with(component) => pod.to_owned(),
            Some(pod) => format!("{component}/{pod}"),
            None => component.to_owned(),
        })
    }

    /// Indentation of details below a row. In a narrow output, they do not fit below the description.
    fn indent(&self) -> usize {
        let before = TIME_COLUMNS + 1 + TIME_COLUMNS + 1;
        if self.description_columns < 40 {
            before
        } else {
            before + self.label + 1 + self.scale.columns + 1 + TIME_COLUMNS + 1
        }
    }
}

fn components_with_several_pods(rows: &[WaterfallRow<'_>]) -> BTreeSet<String> {
    let mut pods: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for row in rows {
        pods.entry(row.component()).or_default().extend(row.pod());
    }
    let several = pods.into_iter().filter(|(_, pods)| pods.len() > 1);
    several.map(|(component, _)| component.to_owned()).collect()
}

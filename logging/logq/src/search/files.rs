//! Faster paths for files: all cores render or count lines that are independent of each other.

use std::{collections::VecDeque, io::Write};

use super::{
    RunReport, SearchError, SearchOptions,
    lines::write_summary,
    rendered::{CountWork, RenderWork},
};
use crate::{
    filter::Filter,
    render::{ComponentColumn, OutputFormat, Renderer},
    source::{SourceError, files},
    summary::Summary,
};

/// Whether files are searched, and the lines can be counted in any order.
pub const fn can_count(search: &SearchOptions, summary: &Summary) -> bool {
    !search.files.is_empty() && matches!(summary, Summary::Stats(_))
}

/// Counts the lines by component and level, and prints the counts.
///
/// # Errors
/// [`SearchError`]. An unreadable file is an error in the report.
pub fn write_stats<W: Write>(
    search: &SearchOptions,
    filter: &Filter,
    mut summary: Summary,
    out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    let work = CountWork::new(filter.clone());
    for part in files::process_blocks(&search.files, filter, work).map_err(SourceError::from)? {
        match part {
            Ok((part, found)) => {
                report.found += found;
                summary.merge(part);
            }
            Err(error) => report.add_error(&error),
        }
    }
    let found = report.found;
    write_summary(&summary, found, out, report)
}

/// Whether files are searched, and their lines can be rendered independently and in order.
pub fn can_render(search: &SearchOptions) -> bool {
    let show = &search.show;
    !search.files.is_empty()
        && !show.reverse
        && !show.context_lines().is_wanted()
        && !matches!(show.output, OutputFormat::Json)
}

/// Renders and prints the lines.
///
/// # Errors
/// [`SearchError`]. An unreadable file is an error in the report.
pub fn write_lines<W: Write>(
    search: &SearchOptions,
    filter: &Filter,
    mut out: Renderer<W>,
    mut report: RunReport,
) -> Result<RunReport, SearchError> {
    let work = RenderWork::new(filter.clone(), out.style().clone());
    let lines = files::process_lines(&search.files, filter, work).map_err(SourceError::from)?;
    let first = search.show.limit.map_or(u64::MAX, |limit| limit as u64);
    let mut last = VecDeque::new();
    let mut column = ComponentColumn::default();
    for line in lines {
        match line {
            Ok(line) => {
                report.found += 1;
                if let Some(tail) = search.show.tail {
                    last.push_back(line);
                    if last.len() > tail {
                        last.pop_front();
                    }
                } else if report.shown < first {
                    report.shown += 1;
                    line.write(&mut column, out.output())?;
                    // Show lines of a pipe as they arrive.
                    if line.is_last() || report.shown == first {
                        out.flush()?;
                    }
                }
            }
            Err(error) => report.add_error(&error),
        }
    }
    for line in last {
        report.shown += 1;
        line.write(&mut column, out.output())?;
    }
    out.finish()?;
    Ok(report)
}

//! The header of a trace.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
};

use chrono::{DateTime, Local};
use log_normalizer::Time;
use schema::{field, level};
use terminal::escaped;

use super::{super::duration::format_duration, Waterfall, row::WaterfallRow};

impl Waterfall {
    /// Writes the trace and photo ids, times, and line counts by component.
    pub(super) fn write_header(
        &self,
        rows: &[WaterfallRow<'_>],
        (first, last): (Time, Time),
        out: &mut impl Write,
    ) -> io::Result<()> {
        let documents = || rows.iter().map(|row| row.document);
        let traces: BTreeSet<&str> = documents().filter_map(|document| document.trace_id()).collect();
        let photos: BTreeSet<i64> = documents().filter_map(|document| document.photo_id()).collect();
        let projects: BTreeSet<&str> = documents()
            .filter_map(|document| document.text(field::PROJECT))
            .collect();
        let mut names: Vec<String> = traces.iter().map(|id| format!("trace {}", escaped(id))).collect();
        names.extend(photos.iter().map(|photo| format!("photo {photo}")));
        names.extend(
            projects
                .iter()
                .map(|project| format!("project {}", escaped(project))),
        );
        self.write_parts(&names, out)?;

        let began = self.format_time(first);
        let mut times = vec![format!("began {began}")];
        let ended = self.format_time(last);
        // Show the end if it is on another day.
        if ended.split(' ').next() != began.split(' ').next() {
            times.push(format!("ended {ended}"));
        }
        if first < last {
            times.push(format!("took {}", format_duration(first, last)));
        }
        let untraced = rows.iter().filter(|row| row.is_untraced).count();
        times.push(format!("lines {}", rows.len() - untraced));
        if untraced > 0 {
            times.push(format!("without a trace {untraced}"));
        }
        let worst = level::ALL
            .iter()
            .find(|level| documents().any(|document| document.level() == Some(**level)));
        times.extend(worst.map(|worst| format!("worst level {worst}")));
        self.write_parts(&times, out)?;

        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for row in rows {
            *counts.entry(row.component()).or_default() += 1;
        }
        let counts = counts
            .iter()
            .map(|(name, count)| format!("{} {count}", escaped(name)));
        self.write_parts(&counts.collect::<Vec<_>>(), out)
    }

    fn write_parts(&self, parts: &[String], out: &mut impl Write) -> io::Result<()> {
        let parts = parts.iter().map(String::as_str);
        for line in self.width.wrap(parts, "  ", self.width.columns) {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn format_time(&self, time: Time) -> String {
        let time = DateTime::from_timestamp_nanos(time.nanos());
        if self.utc {
            time.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
        } else {
            let time = time.with_timezone(&Local);
            time.format("%Y-%m-%d %H:%M:%S%.3f %:z").to_string()
        }
    }
}

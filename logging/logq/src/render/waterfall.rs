//! One trace over time.

use std::io::{self, Write};

use chrono::{DateTime, Local};
use line::{Document, Time};
use schema::field;
use serde_json::Value;
use terminal::escaped;

use super::{colour::Palette, pretty::RELATED};
use crate::{plan::related, source::Entry};

/// Columns of the drawing.
const COLUMNS: i64 = 40;

/// Columns of a message.
const MESSAGE: usize = 56;

/// Draws the lines of one trace, which are in the order of their times: when
/// each came, how long after the one before, and as a bar how long what it
/// tells of had taken. Lines that are only related can come before and after
/// the trace.
///
/// # Errors
/// The output's.
pub fn draw(entries: &[Entry], palette: &Palette, utc: bool, out: &mut impl Write) -> io::Result<()> {
    // What is asked of lines can leave related ones only.
    let alone = !entries.iter().all(is_related);
    let times = || {
        entries
            .iter()
            .filter(|entry| !alone || !is_related(entry))
            .filter_map(|entry| Some((begin(&entry.document)?, entry.document.timestamp()?)))
    };
    let Some(first) = times().map(|(begin, _)| begin).min() else {
        return Ok(());
    };
    let last = times().map(|(_, end)| end).max().unwrap_or(first);
    head(entries, (first, last), utc, out)?;
    let width = names(entries)
        .map(|name| name.chars().count())
        .max()
        .unwrap_or_default();
    let earliest = entries
        .iter()
        .filter_map(|entry| entry.document.timestamp())
        .min();
    let mut before = earliest.map_or(first, |earliest| earliest.min(first));
    for entry in entries {
        let document = &entry.document;
        let Some(time) = document.timestamp() else {
            continue;
        };
        let bar = Bar {
            related: is_related(entry),
            ..Bar::new((first, last), begin(document).unwrap_or(time), time)
        };
        let level = document.level();
        let style = palette.level(level);
        let component = escaped(document.component().unwrap_or("-"));
        let message = document.message().lines().next().unwrap_or_default();
        let message = if bar.related {
            short(&format!("{RELATED}: {message}"))
        } else {
            short(message)
        };
        let (dim, name) = (palette.dim, palette.component);
        writeln!(
            out,
            "{dim}{:>10} {:>11}{dim:#} {name}{component:<width$}{name:#} {style}{bar}{style:#} {message}",
            length(first, time),
            format!("+{}", length(before, time)),
        )?;
        before = time;
    }
    Ok(())
}

fn head(entries: &[Entry], (first, last): (Time, Time), utc: bool, out: &mut impl Write) -> io::Result<()> {
    let mut ids: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.document.trace_id())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    let mut photos: Vec<i64> = entries
        .iter()
        .filter_map(|entry| entry.document.photo_id())
        .collect();
    photos.sort_unstable();
    photos.dedup();
    let start = DateTime::from_timestamp_nanos(first.nanos());
    let start = if utc {
        start.format("%Y-%m-%d %H:%M:%S%.3fZ").to_string()
    } else {
        start
            .with_timezone(&Local)
            .format("%Y-%m-%d %H:%M:%S%.3f")
            .to_string()
    };
    write!(
        out,
        "trace {}  from {start}  {} in all",
        ids.join(", "),
        length(first, last)
    )?;
    if !photos.is_empty() {
        let photos: Vec<String> = photos.iter().map(i64::to_string).collect();
        write!(out, "  photo {}", photos.join(", "))?;
    }
    writeln!(out)
}

fn names(entries: &[Entry]) -> impl Iterator<Item = String> {
    entries
        .iter()
        .map(|entry| escaped(entry.document.component().unwrap_or("-")))
}

fn is_related(entry: &Entry) -> bool {
    entry.document.has_tag(related::TAG)
}

/// When what the line tells of began.
fn begin(document: &Document) -> Option<Time> {
    let end = document.timestamp()?;
    let seconds = document
        .get(field::DURATION_SECONDS)
        .and_then(Value::as_f64)
        .filter(|seconds| (0.0..1e6).contains(seconds))
        .unwrap_or_default();
    Some(Time::from_nanos(
        end.nanos().saturating_sub((seconds * 1e9) as i64).max(0),
    ))
}

/// From one time to a later one, in a unit that fits: `12.345 ms`, `1.234 s`,
/// `5m07s`.
fn length(from: Time, to: Time) -> String {
    let nanos = to.nanos().saturating_sub(from.nanos());
    if nanos < 0 {
        return format!("-{}", length(to, from));
    }
    match nanos {
        ..=999_999_999 => format!("{:.3} ms", nanos as f64 / 1e6),
        1_000_000_000..=119_999_999_999 => format!("{:.3} s", nanos as f64 / 1e9),
        _ => {
            let seconds = nanos / 1_000_000_000;
            format!("{}m{:02}s", seconds / 60, seconds % 60)
        }
    }
}

fn short(text: &str) -> String {
    let text = escaped(text);
    if text.chars().count() <= MESSAGE {
        return text;
    }
    text.chars().take(MESSAGE - 1).chain(['…']).collect()
}

/// Where in the drawing something was.
struct Bar {
    before: usize,
    length: usize,
    point: bool,
    related: bool,
}

impl Bar {
    fn new((first, last): (Time, Time), begin: Time, end: Time) -> Self {
        let whole = (last.nanos() - first.nanos()).max(1);
        let column = |time: Time| {
            let part = i128::from(time.nanos() - first.nanos()) * i128::from(COLUMNS - 1) / i128::from(whole);
            usize::try_from(part.clamp(0, i128::from(COLUMNS - 1))).unwrap_or_default()
        };
        let (from, to) = (column(begin), column(end));
        Self {
            before: from,
            length: to - from.min(to) + 1,
            point: begin == end,
            related: false,
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let after = usize::try_from(COLUMNS)
            .unwrap_or_default()
            .saturating_sub(self.before + self.length);
        let bar = match (self.related, self.point) {
            (true, _) => "~",
            (false, true) => "·",
            (false, false) => "━",
        };
        write!(
            f,
            "{}{}{}",
            " ".repeat(self.before),
            bar.repeat(self.length),
            " ".repeat(after)
        )
    }
}

//! Renders lines.
//!
//! Architecture invariant: no control character of a log line reaches the terminal.

mod duration;
mod fields;
mod logfmt;
mod output_width;
mod palette;
mod pretty;
mod waterfall;

use std::io::{self, Write};

use chrono::{Local, Utc};
use clap::ValueEnum;
use log_normalizer::{Document, Record};

pub use self::{
    duration::format_duration,
    fields::{FieldSelection, FieldsError},
    output_width::{OutputWidth, pad_end, width},
    palette::{Colour, Palette},
    pretty::{ComponentColumn, ComponentEnd, Pretty},
    waterfall::Waterfall,
};
use crate::entry::Entry;

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people
    #[default]
    Pretty,
    /// One JSON object per line
    Jsonl,
    /// One JSON array
    Json,
    /// key=value pairs
    Logfmt,
    /// The original line, or the message if the source has no original
    Raw,
}

/// Writes lines in one format.
pub struct Renderer<W> {
    out: W,
    form: RecordForm,
    style: Style,
    written: u64,
}

enum RecordForm {
    Pretty(Box<Pretty>),
    Jsonl,
    Json,
    Logfmt,
    Raw,
}

/// Options of a renderer.
#[derive(Clone, Debug)]
pub struct Style {
    pub output: OutputFormat,
    pub palette: Palette,
    /// Show times in UTC.
    pub utc: bool,
    pub fields: FieldSelection,
    /// The output is a terminal.
    pub terminal: bool,
}

impl Style {
    /// The current time of day, for messages.
    #[must_use]
    pub fn time_of_day(&self) -> String {
        const FORMAT: &str = "%H:%M:%S";
        let now = Utc::now();
        if self.utc {
            now.format(FORMAT).to_string()
        } else {
            now.with_timezone(&Local).format(FORMAT).to_string()
        }
    }
}

impl<W: Write> Renderer<W> {
    pub fn new(out: W, style: Style) -> Self {
        let form = match style.output {
            OutputFormat::Pretty => RecordForm::Pretty(Box::new(Pretty::new(
                style.palette,
                style.utc,
                style.fields.clone(),
            ))),
            OutputFormat::Jsonl => RecordForm::Jsonl,
            OutputFormat::Json => RecordForm::Json,
            OutputFormat::Logfmt => RecordForm::Logfmt,
            OutputFormat::Raw => RecordForm::Raw,
        };
        Self {
            out,
            form,
            style,
            written: 0,
        }
    }

    /// Writes a match.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn line(&mut self, entry: &Entry) -> io::Result<()> {
        self.entry(entry, true)
    }

    /// Writes a context line.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn around(&mut self, entry: &Entry) -> io::Result<()> {
        self.entry(entry, false)
    }

    /// Writes a separator for omitted lines.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn gap(&mut self) -> io::Result<()> {
        match self.form {
            RecordForm::Pretty(_) | RecordForm::Raw => self.out.write_all(b"--\n"),
            RecordForm::Jsonl | RecordForm::Json | RecordForm::Logfmt => Ok(()),
        }
    }

    /// Whether a [`Record`] contains everything that this format shows.
    #[must_use]
    pub fn can_render_record(&self) -> bool {
        match &self.form {
            RecordForm::Pretty(pretty) => pretty.can_render_record(),
            RecordForm::Jsonl => self.style.fields.shows_everything(),
            RecordForm::Raw => true,
            RecordForm::Json | RecordForm::Logfmt => false,
        }
    }

    /// The same for a specific line.
    #[must_use]
    pub const fn can_render(&self, record: &Record<'_>) -> bool {
        !matches!(self.form, RecordForm::Jsonl) || record.is_whole()
    }

    /// Writes a match without alignment, if [`Self::can_render_record`] and [`Self::can_render`] allow it.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write_unaligned_record(
        &mut self,
        record: &Record<'_>,
        raw: &[u8],
    ) -> io::Result<Option<ComponentEnd>> {
        match &mut self.form {
            RecordForm::Pretty(pretty) => return pretty.write_unaligned(&mut self.out, record),
            RecordForm::Jsonl => {
                let mut json = String::with_capacity(2 * raw.len());
                record.write_json(&mut json);
                writeln!(self.out, "{}", terminal::escaped(&json))?;
            }
            _ => self.raw(raw)?,
        }
        Ok(None)
    }

    /// Writes a match without alignment. `raw`: the original line.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write_unaligned(&mut self, document: &Document, raw: &[u8]) -> io::Result<Option<ComponentEnd>> {
        match &mut self.form {
            RecordForm::Pretty(pretty) => pretty.write_unaligned(&mut self.out, document),
            _ => self.write(document, Some(raw), true).map(|()| None),
        }
    }

    fn entry(&mut self, entry: &Entry, found: bool) -> io::Result<()> {
        self.write(&entry.document, entry.raw.as_deref(), found)
    }

    fn write(&mut self, document: &Document, raw: Option<&[u8]>, found: bool) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match &mut self.form {
            RecordForm::Pretty(pretty) => pretty.write(&mut self.out, document, found),
            RecordForm::Jsonl => writeln!(
                self.out,
                "{}",
                terminal::escaped(&self.style.fields.json(document))
            ),
            RecordForm::Json => {
                let begin = if first { "[\n" } else { ",\n" };
                write!(
                    self.out,
                    "{begin}{}",
                    terminal::escaped(&self.style.fields.json(document))
                )
            }
            RecordForm::Logfmt => writeln!(self.out, "{}", logfmt::format_line(document, &self.style.fields)),
            RecordForm::Raw => self.raw(raw.unwrap_or(document.message().as_bytes())),
        }
    }

    fn raw(&mut self, raw: &[u8]) -> io::Result<()> {
        if self.style.terminal {
            let text = String::from_utf8_lossy(raw);
            let lines = text.split('\n').map(terminal::escaped).collect::<Vec<_>>();
            self.out.write_all(lines.join("\n").as_bytes())?;
        } else {
            self.out.write_all(raw)?;
        }
        self.out.write_all(b"\n")
    }

    /// Completes the format.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn finish(mut self) -> io::Result<()> {
        if matches!(self.form, RecordForm::Json) {
            self.out
                .write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }

    pub fn into_output(self) -> W {
        self.out
    }

    #[must_use]
    pub const fn style(&self) -> &Style {
        &self.style
    }

    /// The output, for text that is not a line.
    pub const fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// # Errors
    /// An I/O error of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

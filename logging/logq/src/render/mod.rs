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
use line::{Document, Line, Origin, Tidy};

pub use self::{
    duration::format_duration,
    fields::{FieldSelection, FieldsError},
    output_width::{OutputWidth, pad_end, width},
    palette::Palette,
    pretty::{ComponentColumn, ComponentEnd, Pretty},
    waterfall::Waterfall,
};
use crate::{cli::Output, source::Entry};

/// Writes lines in one format.
pub struct Renderer<W> {
    out: W,
    form: Form,
    style: Style,
    written: u64,
}

enum Form {
    Pretty(Box<Pretty>),
    Jsonl,
    Json,
    Logfmt,
    Raw,
}

/// Options of a renderer.
#[derive(Clone, Debug)]
pub struct Style {
    pub output: Output,
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
            Output::Pretty => Form::Pretty(Box::new(Pretty::new(
                style.palette,
                style.utc,
                style.fields.clone(),
            ))),
            Output::Jsonl => Form::Jsonl,
            Output::Json => Form::Json,
            Output::Logfmt => Form::Logfmt,
            Output::Raw => Form::Raw,
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
            Form::Pretty(_) | Form::Raw => self.out.write_all(b"--\n"),
            Form::Jsonl | Form::Json | Form::Logfmt => Ok(()),
        }
    }

    /// Whether a [`Tidy`] line contains everything that this format shows.
    #[must_use]
    pub fn can_render_tidy(&self) -> bool {
        match &self.form {
            Form::Pretty(pretty) => pretty.can_render_tidy(),
            Form::Jsonl => self.style.fields.shows_everything(),
            Form::Raw => true,
            Form::Json | Form::Logfmt => false,
        }
    }

    /// The same for a specific line.
    #[must_use]
    pub const fn can_render(&self, tidy: &Tidy<'_>) -> bool {
        !matches!(self.form, Form::Jsonl) || tidy.is_whole()
    }

    /// Writes a match without alignment, if [`Self::can_render_tidy`] and [`Self::can_render`] allow it.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write_unaligned_tidy(
        &mut self,
        tidy: &Tidy<'_>,
        line: &Line<'_>,
        origin: &Origin,
    ) -> io::Result<Option<ComponentEnd>> {
        match &mut self.form {
            Form::Pretty(pretty) => return pretty.write_unaligned(&mut self.out, tidy),
            Form::Jsonl => {
                let mut json = String::with_capacity(2 * line.content.len());
                tidy.put_json(line, origin, &mut json);
                writeln!(self.out, "{}", terminal::escaped(&json))?;
            }
            _ => self.raw(&line.content)?,
        }
        Ok(None)
    }

    /// Writes a match without alignment. `raw`: the original line.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write_unaligned(&mut self, document: &Document, raw: &[u8]) -> io::Result<Option<ComponentEnd>> {
        match &mut self.form {
            Form::Pretty(pretty) => pretty.write_unaligned(&mut self.out, document),
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
            Form::Pretty(pretty) => pretty.write(&mut self.out, document, found),
            Form::Jsonl => writeln!(
                self.out,
                "{}",
                terminal::escaped(&self.style.fields.json(document))
            ),
            Form::Json => {
                let begin = if first { "[\n" } else { ",\n" };
                write!(
                    self.out,
                    "{begin}{}",
                    terminal::escaped(&self.style.fields.json(document))
                )
            }
            Form::Logfmt => writeln!(self.out, "{}", logfmt::format_line(document, &self.style.fields)),
            Form::Raw => self.raw(raw.unwrap_or(document.message().as_bytes())),
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
        if matches!(self.form, Form::Json) {
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

//! How lines are shown.
//!
//! Architecture invariant: nothing that came from a log line reaches a
//! terminal as something that it acts on.

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

/// Writes lines in one form.
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

/// How a renderer is to be.
#[derive(Clone, Debug)]
pub struct Style {
    /// The form.
    pub output: Output,
    /// Colours, or none.
    pub palette: Palette,
    /// Times in UTC.
    pub utc: bool,
    /// Which fields.
    pub fields: FieldSelection,
    /// Whether a person looks at it.
    pub terminal: bool,
}

impl Style {
    /// The time of day now, for what is told beside lines.
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
    /// Writes to `out`.
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

    /// Writes a line that was found.
    ///
    /// # Errors
    /// The output's.
    pub fn line(&mut self, entry: &Entry) -> io::Result<()> {
        self.entry(entry, true)
    }

    /// Writes a line that stands around one that was found.
    ///
    /// # Errors
    /// The output's.
    pub fn around(&mut self, entry: &Entry) -> io::Result<()> {
        self.entry(entry, false)
    }

    /// Says that lines are left out here.
    ///
    /// # Errors
    /// The output's.
    pub fn gap(&mut self) -> io::Result<()> {
        match self.form {
            Form::Pretty(_) | Form::Raw => self.out.write_all(b"--\n"),
            Form::Jsonl | Form::Json | Form::Logfmt => Ok(()),
        }
    }

    /// Whether a [`Tidy`] line has all that is shown.
    #[must_use]
    pub fn can_render_tidy(&self) -> bool {
        match &self.form {
            Form::Pretty(pretty) => pretty.can_render_tidy(),
            Form::Jsonl => self.style.fields.shows_everything(),
            Form::Raw => true,
            Form::Json | Form::Logfmt => false,
        }
    }

    /// Whether a [`Tidy`] line has all that is shown of this one.
    #[must_use]
    pub const fn can_render(&self, tidy: &Tidy<'_>) -> bool {
        !matches!(self.form, Form::Jsonl) || tidy.is_whole()
    }

    /// Writes a line that was found, if [`Self::can_render_tidy`] and
    /// [`Self::can_render`] it, without the blanks that align it.
    ///
    /// # Errors
    /// The output's.
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

    /// Writes a line that was found, without the blanks that align it. `raw`:
    /// as its program wrote it.
    ///
    /// # Errors
    /// The output's.
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

    /// Writes what is missing at the end.
    ///
    /// # Errors
    /// The output's.
    pub fn finish(mut self) -> io::Result<()> {
        if matches!(self.form, Form::Json) {
            self.out
                .write_all(if self.written == 0 { b"[]\n" } else { b"\n]\n" })?;
        }
        self.out.flush()
    }

    /// What was written to.
    pub fn into_output(self) -> W {
        self.out
    }

    /// How it is.
    #[must_use]
    pub const fn style(&self) -> &Style {
        &self.style
    }

    /// Where it writes, for what is no line.
    pub const fn output(&mut self) -> &mut W {
        &mut self.out
    }

    /// Passes on what was written so far.
    ///
    /// # Errors
    /// The output's.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

//! How lines are shown.
//!
//! Architecture invariant: nothing that came from a log line reaches a
//! terminal as something that it acts on.

mod colour;
mod fields;
mod logfmt;
mod pretty;
pub mod waterfall;

use std::io::{self, Write};

pub use self::{
    colour::Palette,
    fields::{Chosen, NoFields},
    pretty::Pretty,
};
use crate::{cli::Output, source::Entry};

/// Writes lines in one form.
pub struct Renderer<W> {
    out: W,
    form: Form,
    chosen: Chosen,
    /// Whether a person looks at it.
    terminal: bool,
    written: u64,
}

enum Form {
    Pretty(Pretty),
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
    pub chosen: Chosen,
    /// Whether a person looks at it.
    pub terminal: bool,
}

impl<W: Write> Renderer<W> {
    /// Writes to `out`.
    pub fn new(out: W, style: Style) -> Self {
        let form = match style.output {
            Output::Pretty => Form::Pretty(Pretty::new(style.palette, style.utc)),
            Output::Jsonl => Form::Jsonl,
            Output::Json => Form::Json,
            Output::Logfmt => Form::Logfmt,
            Output::Raw => Form::Raw,
        };
        Self {
            out,
            form,
            chosen: style.chosen,
            terminal: style.terminal,
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

    fn entry(&mut self, entry: &Entry, found: bool) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match &mut self.form {
            Form::Pretty(pretty) => pretty.write(&mut self.out, &entry.document, &self.chosen, found),
            Form::Jsonl => writeln!(
                self.out,
                "{}",
                terminal::escaped(&self.chosen.json(&entry.document))
            ),
            Form::Json => {
                let begin = if first { "[\n" } else { ",\n" };
                write!(
                    self.out,
                    "{begin}{}",
                    terminal::escaped(&self.chosen.json(&entry.document))
                )
            }
            Form::Logfmt => writeln!(self.out, "{}", logfmt::line(&entry.document, &self.chosen)),
            Form::Raw => {
                let raw = entry
                    .raw
                    .as_deref()
                    .unwrap_or(entry.document.message().as_bytes());
                if self.terminal {
                    let text = String::from_utf8_lossy(raw);
                    let lines = text.split('\n').map(terminal::escaped).collect::<Vec<_>>();
                    self.out.write_all(lines.join("\n").as_bytes())?;
                } else {
                    self.out.write_all(raw)?;
                }
                self.out.write_all(b"\n")
            }
        }
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

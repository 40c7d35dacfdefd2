//! Lines for people.

use std::io::{self, Write};

use anstyle::Style;
use chrono::{DateTime, Local, Utc};
use line::{Document, Time};
use schema::field;
use serde_json::Value;
use terminal::escaped;

use super::{
    colour::Palette,
    fields::{self, Chosen},
    logfmt,
};

/// What the beginning of a line shows already, and what says the same on every
/// line of a program; shown when it is asked for.
const QUIET: [&str; 30] = [
    field::TIMESTAMP,
    field::LEVEL,
    field::MESSAGE,
    field::COMPONENT,
    field::SERVICE_NAME,
    field::SERVICE_VERSION,
    field::TARGET,
    field::SPAN_ID,
    field::LOG_IOSTREAM,
    field::EVENT_ID,
    field::EVENT_INGESTED,
    field::DB_SYSTEM_NAME,
    field::MESSAGING_SYSTEM,
    field::EXCEPTION_STACKTRACE,
    field::CODE_FILE_PATH,
    field::CODE_LINE_NUMBER,
    "code.function.name",
    "postgresql.application_name",
    "postgresql.session_id",
    "postgresql.line_number",
    "postgresql.virtual_transaction_id",
    "postgresql.transaction_id",
    "postgresql.query_id",
    "postgresql.user",
    "postgresql.ps",
    "postgresql.severity",
    "postgresql.backend_type",
    "rabbitmq.pid",
    "db.query.text",
    "client.port",
];

/// Objects of which the same holds.
const QUIET_OBJECTS: [&str; 2] = ["kubernetes.", "fields."];

/// The name of a component takes at least so many columns.
const NARROWEST: usize = 10;

/// The name of a component takes at most so many columns before it breaks the
/// others' alignment.
const WIDEST: usize = 14;

/// What the lines of a text that has several begin with.
const INDENT: &str = "    │ ";

/// Writes lines for people.
pub struct Pretty {
    palette: Palette,
    utc: bool,
    width: usize,
}

impl Pretty {
    /// Writes with these colours, times in UTC or in the machine's zone.
    #[must_use]
    pub const fn new(palette: Palette, utc: bool) -> Self {
        Self {
            palette,
            utc,
            width: NARROWEST,
        }
    }

    /// Writes one line, and what it has of further lines.
    ///
    /// # Errors
    /// The output's.
    pub fn write(
        &mut self,
        out: &mut impl Write,
        document: &Document,
        chosen: &Chosen,
        found: bool,
    ) -> io::Result<()> {
        let palette = if found { self.palette } else { Palette::NONE };
        let around = if found { Style::new() } else { self.palette.dim };
        let level = document.level();
        let component = escaped(document.component().unwrap_or("-"));
        self.width = self.width.max(component.chars().count().min(WIDEST));
        let mut message = document.message().split('\n');
        let first = visible(message.next().unwrap_or_default());

        write!(out, "{around}")?;
        write!(out, "{}", painted(palette.dim, &self.time(document.timestamp())))?;
        let level_name = level.unwrap_or("-").to_ascii_uppercase();
        write!(
            out,
            " {}",
            painted(palette.level(level), &format!("{level_name:<5}"))
        )?;
        let width = self.width;
        write!(
            out,
            " {}",
            painted(palette.component, &format!("{component:<width$}"))
        )?;
        write!(out, " {}", painted(palette.message, &first))?;
        let mut result = Ok(());
        fields::each(document, &mut |name, value| {
            if result.is_ok() && shows(chosen, name, value) {
                let key = painted(palette.dim, &format!("{}=", logfmt::key(name)));
                result = write!(out, " {key}{}", logfmt::value(value));
            }
        });
        result?;
        writeln!(out, "{around:#}")?;
        let trace = document.text(field::EXCEPTION_STACKTRACE).unwrap_or_default();
        for more in message.chain(trace.lines()) {
            writeln!(
                out,
                "{}",
                painted(self.palette.dim, &format!("{INDENT}{}", visible(more)))
            )?;
        }
        Ok(())
    }

    fn time(&self, time: Option<Time>) -> String {
        const FORMAT: &str = "%Y-%m-%d %H:%M:%S%.3f";
        let Some(time) = time else {
            return format!("{:<23}", "-");
        };
        let utc: DateTime<Utc> = DateTime::from_timestamp_nanos(time.nanos());
        if self.utc {
            utc.format(FORMAT).to_string()
        } else {
            utc.with_timezone(&Local).format(FORMAT).to_string()
        }
    }
}

fn shows(chosen: &Chosen, name: &str, value: &Value) -> bool {
    if value.is_null() || name == field::MESSAGE {
        return false;
    }
    let quiet = QUIET.contains(&name) || QUIET_OBJECTS.iter().any(|object| name.starts_with(object));
    chosen.shows(name) && (chosen.is_explicit() || !quiet)
}

/// A text without what a terminal acts on, tabs as spaces.
fn visible(text: &str) -> String {
    escaped(&text.trim_end_matches('\r').replace('\t', "    "))
}

fn painted(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

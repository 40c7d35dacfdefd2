//! The format for people.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt::Write as _,
    io::{self, Write},
    mem,
};

use anstyle::Style;
use chrono::{DateTime, Local, Utc};
use log_normalizer::{
    Document, Record, Time,
    json::{Object, Value},
};
use memchr::memchr;
use schema::field;
use terminal::escape_into;

use super::{
    fields::{self, FieldSelection},
    logfmt,
    palette::Palette,
};

/// Fields that are hidden by default: the start of the line shows them, or they are the same for all lines of a
/// program.
const HIDDEN_FIELDS: [&str; 30] = [
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

/// Objects that are hidden by default.
const HIDDEN_OBJECTS: [&str; 2] = ["kubernetes.", "fields."];

/// Minimum width of the component column.
const MIN_COMPONENT_COLUMNS: usize = 10;

/// Maximum width of the component column; longer names break the alignment.
const MAX_COMPONENT_COLUMNS: usize = 14;

/// Keys to remember: names come from the lines.
const MAX_KEYS: usize = 1_000;

/// Prefix of the continuation lines of a multi-line text.
const INDENT: &str = "    │ ";

/// Prefix of the fields after a multi-line text, without the space before each field.
const FIELD_INDENT: &str = "     ";

/// Renders lines for people.
pub struct Pretty {
    palette: Palette,
    fields: FieldSelection,
    time_formatter: TimeFormatter,
    column: ComponentColumn,
    /// `name=` of the fields seen so far; None for a hidden field.
    keys: RefCell<HashMap<String, Option<String>>>,
    visible: VisibleParts,
    line: String,
}

/// The visible parts of a line.
struct VisibleParts {
    time: bool,
    level: bool,
    component: bool,
    message: bool,
    trace: bool,
}

impl VisibleParts {
    fn from_fields(fields: &FieldSelection) -> Self {
        Self {
            time: !fields.hides(field::TIMESTAMP),
            level: !fields.hides(field::LEVEL),
            component: !fields.hides(field::COMPONENT),
            message: !fields.hides(field::MESSAGE),
            trace: !fields.hides(field::EXCEPTION_STACKTRACE),
        }
    }
}

/// The width of the component column: the widest name so far.
#[derive(Debug)]
pub struct ComponentColumn(usize);

impl Default for ComponentColumn {
    fn default() -> Self {
        Self(MIN_COMPONENT_COLUMNS)
    }
}

/// Where the component ends in a rendered line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ComponentEnd {
    at: usize,
    columns: usize,
}

impl ComponentColumn {
    /// Writes a line, aligned with the previous ones.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write(
        &mut self,
        line: &[u8],
        component_end: ComponentEnd,
        out: &mut impl Write,
    ) -> io::Result<()> {
        const BLANKS: [u8; MAX_COMPONENT_COLUMNS] = [b' '; MAX_COMPONENT_COLUMNS];
        self.0 = self.0.max(component_end.columns.min(MAX_COMPONENT_COLUMNS));
        let blanks = self.0.saturating_sub(component_end.columns);
        let (begin, end) = line.split_at_checked(component_end.at).unwrap_or((line, &[]));
        out.write_all(begin)?;
        out.write_all(BLANKS.get(..blanks).unwrap_or_default())?;
        out.write_all(end)
    }
}

/// A line to render, from either kind of parsed line.
pub trait PrettyLine {
    fn time(&self) -> Option<Time>;
    fn level(&self) -> Option<&str>;
    fn component(&self) -> Option<&str>;
    fn message(&self) -> &str;
    /// The stack trace.
    fn trace(&self) -> &str;
    /// Appends the other fields.
    fn push_fields(&self, pretty: &Pretty, dim: Style, out: &mut String);
}

impl PrettyLine for Document {
    fn time(&self) -> Option<Time> {
        self.timestamp()
    }

    fn level(&self) -> Option<&str> {
        self.level()
    }

    fn component(&self) -> Option<&str> {
        self.component()
    }

    fn message(&self) -> &str {
        self.message()
    }

    fn trace(&self) -> &str {
        self.text(field::EXCEPTION_STACKTRACE).unwrap_or_default()
    }

    fn push_fields(&self, pretty: &Pretty, dim: Style, out: &mut String) {
        fields::for_each_field(self, &mut |name, value| {
            if !value.is_null() && pretty.push_key(name, dim, out) {
                logfmt::push_value(value, out);
            }
        });
    }
}

impl PrettyLine for Record<'_> {
    fn time(&self) -> Option<Time> {
        self.time()
    }

    fn level(&self) -> Option<&str> {
        self.level()
    }

    fn component(&self) -> Option<&str> {
        self.component()
    }

    fn message(&self) -> &str {
        self.message()
    }

    fn trace(&self) -> &str {
        self.text(field::EXCEPTION_STACKTRACE).unwrap_or_default()
    }

    fn push_fields(&self, pretty: &Pretty, dim: Style, out: &mut String) {
        push_members(self.members(), &mut String::new(), pretty, dim, out);
    }
}

fn push_members(members: Object<'_>, name: &mut String, pretty: &Pretty, dim: Style, out: &mut String) {
    for (key, value) in members.iter() {
        let length = name.len();
        name.push_str(key);
        match value {
            Value::Object(members) => {
                name.push('.');
                if !HIDDEN_OBJECTS.contains(&name.as_str()) {
                    push_members(*members, name, pretty, dim, out);
                }
            }
            Value::Null => {}
            value => {
                if pretty.push_key(name, dim, out) {
                    logfmt::push_borrowed(value, out);
                }
            }
        }
        name.truncate(length);
    }
}

impl Pretty {
    /// Times are in UTC or the local zone.
    #[must_use]
    pub fn new(palette: Palette, utc: bool, fields: FieldSelection) -> Self {
        Self {
            palette,
            visible: VisibleParts::from_fields(&fields),
            fields,
            time_formatter: TimeFormatter { utc, second: None },
            column: ComponentColumn::default(),
            keys: RefCell::default(),
            line: String::new(),
        }
    }

    /// Appends ` name=`; false if the field is hidden.
    fn push_key(&self, name: &str, dim: Style, out: &mut String) -> bool {
        let new_key = || self.shows(name).then(|| format!("{}=", logfmt::escape_key(name)));
        let mut keys = self.keys.borrow_mut();
        if !keys.contains_key(name) {
            if keys.len() == MAX_KEYS {
                keys.clear();
            }
            keys.insert(name.to_owned(), new_key());
        }
        let Some(Some(key)) = keys.get(name) else {
            return false;
        };
        out.push(' ');
        paint(out, dim, |out| out.push_str(key));
        true
    }

    /// Whether a [`Record`] contains everything shown.
    #[must_use]
    pub const fn can_render_record(&self) -> bool {
        !self.fields.has_explicit_fields()
    }

    /// Writes a line with its continuation lines.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write(&mut self, out: &mut impl Write, shown: &impl PrettyLine, found: bool) -> io::Result<()> {
        match self.render(shown, found) {
            Some(component_end) => self.column.write(self.line.as_bytes(), component_end, out),
            None => out.write_all(self.line.as_bytes()),
        }
    }

    /// Writes a line without alignment.
    ///
    /// # Errors
    /// An I/O error of the output.
    pub fn write_unaligned(
        &mut self,
        out: &mut impl Write,
        shown: &impl PrettyLine,
    ) -> io::Result<Option<ComponentEnd>> {
        let component_end = self.render(shown, true);
        out.write_all(self.line.as_bytes())?;
        Ok(component_end)
    }

    /// None if the component is hidden.
    fn render(&mut self, shown: &impl PrettyLine, found: bool) -> Option<ComponentEnd> {
        let palette = if found { self.palette } else { Palette::NONE };
        let around = if found { Style::new() } else { self.palette.dim };
        let message = if self.visible.message { shown.message() } else { "" };
        let message = message.trim_end_matches(['\r', '\n']);
        let end = memchr(b'\n', message.as_bytes()).unwrap_or(message.len());
        let (first, more) = message.split_at(end);

        let mut line = mem::take(&mut self.line);
        let mut component_end = None;
        line.clear();
        paint(&mut line, around, |line| {
            let begin = line.len();
            if self.visible.time {
                paint(line, palette.dim, |line| {
                    self.time_formatter.push(shown.time(), line)
                });
                line.push(' ');
            }
            if self.visible.level {
                let level = shown.level();
                paint(line, palette.level(level), |line| {
                    let begin = line.len();
                    escape_into(level.unwrap_or("-"), line);
                    if let Some(level) = line.get_mut(begin..) {
                        level.make_ascii_uppercase();
                    }
                    pad(line, begin, 5);
                });
                line.push(' ');
            }
            if self.visible.component {
                paint(line, palette.component, |line| {
                    let begin = line.len();
                    escape_into(shown.component().unwrap_or("-"), line);
                    component_end = Some(ComponentEnd {
                        at: line.len(),
                        columns: pad(line, begin, 0),
                    });
                });
                line.push(' ');
            }
            if self.visible.message {
                paint(line, palette.message, |line| push_visible(first, line));
            } else if line.len() > begin {
                // A space precedes each field.
                line.pop();
            }
            if more.is_empty() {
                shown.push_fields(self, palette.dim, line);
            }
        });
        line.push('\n');
        if !more.is_empty() {
            self.push_continuation(more.split('\n').skip(1), &mut line);
            let mut fields = String::new();
            shown.push_fields(self, palette.dim, &mut fields);
            if !fields.is_empty() {
                paint(&mut line, around, |line| line.extend([FIELD_INDENT, &fields]));
                line.push('\n');
            }
        }
        if self.visible.trace {
            self.push_continuation(shown.trace().lines(), &mut line);
        }
        self.line = line;
        component_end
    }

    /// Appends continuation lines.
    fn push_continuation<'t>(&self, texts: impl Iterator<Item = &'t str>, line: &mut String) {
        for text in texts {
            paint(line, self.palette.dim, |line| {
                line.push_str(INDENT);
                push_visible(text, line);
            });
            line.push('\n');
        }
    }

    fn shows(&self, name: &str) -> bool {
        let quiet =
            HIDDEN_FIELDS.contains(&name) || HIDDEN_OBJECTS.iter().any(|object| name.starts_with(object));
        name != field::MESSAGE && self.fields.shows(name) && (self.fields.has_explicit_fields() || !quiet)
    }
}

struct TimeFormatter {
    utc: bool,
    /// The last formatted second, cached.
    second: Option<(i64, String)>,
}

impl TimeFormatter {
    fn push(&mut self, time: Option<Time>, out: &mut String) {
        let Some(time) = time else {
            return out.push_str(&format!("{:<23}", "-"));
        };
        let (second, rest) = (time.nanos().div_euclid(NANOS), time.nanos().rem_euclid(NANOS));
        if self.second.as_ref().is_none_or(|(last, _)| *last != second) {
            const FORMAT: &str = "%Y-%m-%d %H:%M:%S";
            let utc: DateTime<Utc> = DateTime::from_timestamp_nanos(time.nanos());
            let text = if self.utc {
                utc.format(FORMAT).to_string()
            } else {
                utc.with_timezone(&Local).format(FORMAT).to_string()
            };
            self.second = Some((second, text));
        }
        if let Some((_, text)) = &self.second {
            out.push_str(text);
        }
        // Writing to a string does not fail.
        let _ = write!(out, ".{:03}", rest / (NANOS / 1_000));
    }
}

const NANOS: i64 = 1_000_000_000;

/// Appends a text without control characters; tabs become spaces.
fn push_visible(text: &str, out: &mut String) {
    let text = text.trim_end_matches('\r');
    if memchr(b'\t', text.as_bytes()).is_some() {
        escape_into(&text.replace('\t', "    "), out);
    } else {
        escape_into(text, out);
    }
}

/// Pads to a width; returns the columns before padding.
fn pad(line: &mut String, begin: usize, width: usize) -> usize {
    let columns = line.get(begin..).unwrap_or_default().chars().count();
    line.extend(std::iter::repeat_n(' ', width.saturating_sub(columns)));
    columns
}

fn paint(out: &mut String, style: Style, text: impl FnOnce(&mut String)) {
    if style.is_plain() {
        return text(out);
    }
    // Writing to a string does not fail.
    let _ = write!(out, "{style}");
    text(out);
    let _ = write!(out, "{style:#}");
}

//! Values of fields, and their conversion from `tracing`.

use std::{error::Error, fmt, fmt::Write as _};

use tracing::field::{Field, Visit};

/// Maximum length of a field's text, bytes: the length of a line.
const MAX_TEXT_BYTES: usize = schema::MAX_LINE_BYTES;

/// A field's value, as the program recorded it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum RecordedValue {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Text),
}

/// A text, possibly truncated.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) prefix: String,
    /// Number of bytes after `prefix` that were cut off.
    pub(crate) cut_bytes: usize,
}

impl Text {
    pub(crate) fn new(text: &str) -> Self {
        let mut new = Self::default();
        // Writing to it cannot fail.
        let _ = new.write_str(text);
        new
    }
}

impl fmt::Write for Text {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        // After a cut, everything else is cut, too: the text has no gap.
        let room = if self.cut_bytes == 0 {
            MAX_TEXT_BYTES - self.prefix.len()
        } else {
            0
        };
        let fits = more.floor_char_boundary(room);
        self.prefix.push_str(more.get(..fits).unwrap_or_default());
        self.cut_bytes += more.len() - fits;
        Ok(())
    }
}

/// Fields of one span or event, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: Option<Text>,
    pub(crate) named: Vec<(&'static str, RecordedValue)>,
}

impl Fields {
    /// Sets a field; one of the same name is replaced where it stands.
    pub(crate) fn set(&mut self, name: &'static str, value: RecordedValue) {
        match self.named.iter_mut().find(|(existing, _)| *existing == name) {
            Some((_, old)) => *old = value,
            None => self.named.push((name, value)),
        }
    }

    fn record(&mut self, field: &Field, value: RecordedValue) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        // `log.*` are the source locations of the `log` bridge, `otel.*` are for the exported span.
        if name.starts_with("log.") || name.starts_with("otel.") {
            return;
        }
        match (name, value) {
            (schema::field::MESSAGE, RecordedValue::Text(text)) => self.message = Some(text),
            // `error` is an object in the line; a bare error is its message.
            ("error", value) => self.set(schema::field::ERROR_MESSAGE, value),
            (name, value) => self.set(name, value),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, RecordedValue::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, RecordedValue::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, RecordedValue::Unsigned(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record(
            field,
            i64::try_from(value).map_or_else(|_| displayed(&value), RecordedValue::Signed),
        );
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record(
            field,
            u64::try_from(value).map_or_else(|_| displayed(&value), RecordedValue::Unsigned),
        );
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, RecordedValue::Float(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, RecordedValue::Text(Text::new(value)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = Text::default();
        let _ = write!(text, "{value}");
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record(field, RecordedValue::Text(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Text::default();
        // After an error, the text is what the formatter wrote before.
        let _ = write!(text, "{value:?}");
        self.record(field, RecordedValue::Text(text));
    }
}

fn displayed(value: &dyn fmt::Display) -> RecordedValue {
    let mut text = Text::default();
    let _ = write!(text, "{value}");
    RecordedValue::Text(text)
}

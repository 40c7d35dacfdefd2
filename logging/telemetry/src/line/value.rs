//! What a field may hold, and how it is taken from `tracing`.

use std::{error::Error, fmt, fmt::Write as _};

use tracing::field::{Field, Visit};

/// Longest text that is kept of one field, bytes; a line holds no more.
const MAX_TEXT_BYTES: usize = schema::MAX_LINE_BYTES;

/// One field's value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Text),
}

/// A text, of which only the beginning may be left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) kept: String,
    /// Bytes of the original that are not in `kept`.
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
        // Once something is cut, all that follows is: no gap in the middle.
        let room = if self.cut_bytes == 0 {
            MAX_TEXT_BYTES - self.kept.len()
        } else {
            0
        };
        let fits = more.floor_char_boundary(room);
        self.kept.push_str(more.get(..fits).unwrap_or_default());
        self.cut_bytes += more.len() - fits;
        Ok(())
    }
}

/// Fields of one span or event, in the order in which they were given.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: Option<Text>,
    pub(crate) named: Vec<(&'static str, Value)>,
}

impl Fields {
    /// Sets a field; one of the same name is replaced where it stands.
    pub(crate) fn set(&mut self, name: &'static str, value: Value) {
        match self.named.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.named.push((name, value)),
        }
    }

    fn record(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = name.strip_prefix("r#").unwrap_or(name);
        // `log.*` are the bridge's notes about the place, `otel.*` are meant
        // for the exported span.
        if name.starts_with("log.") || name.starts_with("otel.") {
            return;
        }
        match (name, value) {
            (schema::field::MESSAGE, Value::Text(text)) => self.message = Some(text),
            // `error` is an object in the line; a bare error is its message.
            ("error", value) => self.set(schema::field::ERROR_MESSAGE, value),
            (name, value) => self.set(name, value),
        }
    }
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.record(field, Value::Bool(value));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.record(field, Value::Signed(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.record(field, Value::Unsigned(value));
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        self.record(
            field,
            i64::try_from(value).map_or_else(|_| displayed(&value), Value::Signed),
        );
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        self.record(
            field,
            u64::try_from(value).map_or_else(|_| displayed(&value), Value::Unsigned),
        );
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.record(field, Value::Float(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record(field, Value::Text(Text::new(value)));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut text = Text::default();
        let _ = write!(text, "{value}");
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(text, ": {error}");
            cause = error.source();
        }
        self.record(field, Value::Text(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut text = Text::default();
        // A formatter that fails leaves what it had written until then.
        let _ = write!(text, "{value:?}");
        self.record(field, Value::Text(text));
    }
}

fn displayed(value: &dyn fmt::Display) -> Value {
    let mut text = Text::default();
    let _ = write!(text, "{value}");
    Value::Text(text)
}

use std::collections::BTreeMap;

use contract::headers::CONTENT_TYPE;
use lapin::{
    BasicProperties,
    types::{AMQPValue, FieldTable, ShortString},
};

/// AMQP short strings hold up to 255 bytes.
const MAX_SHORT_STRING: usize = 255;
/// Delivery mode "persistent" of AMQP 0-9-1.
const PERSISTENT: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderValue {
    Text(String),
    Number(i64),
}

impl From<&str> for HeaderValue {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for HeaderValue {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for HeaderValue {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

/// A message to publish: JSON, persistent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub body: Vec<u8>,
    /// Id for people; truncated to 255 bytes.
    pub message_id: Option<String>,
    pub headers: BTreeMap<String, HeaderValue>,
}

impl Message {
    /// A message without id and headers.
    #[must_use]
    pub fn new(body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: body.into(),
            message_id: None,
            headers: BTreeMap::new(),
        }
    }

    #[must_use]
    pub fn with_id(mut self, id: impl ToString) -> Self {
        self.message_id = Some(id.to_string());
        self
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<HeaderValue>) -> Self {
        self.headers.insert(name.to_owned(), value.into());
        self
    }

    pub(super) fn properties(&self) -> BasicProperties {
        let mut headers = FieldTable::default();
        for (name, value) in &self.headers {
            let value = match value {
                HeaderValue::Text(text) => AMQPValue::LongString(text.as_str().into()),
                HeaderValue::Number(number) => AMQPValue::LongLongInt(*number),
            };
            headers.insert(short(name), value);
        }
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type(CONTENT_TYPE.into())
            .with_headers(headers);
        match &self.message_id {
            Some(id) => properties.with_message_id(short(id)),
            None => properties,
        }
    }
}

/// Truncates a text to the length of an AMQP short string.
pub(super) fn short(text: &str) -> ShortString {
    text[..text.floor_char_boundary(MAX_SHORT_STRING)].into()
}

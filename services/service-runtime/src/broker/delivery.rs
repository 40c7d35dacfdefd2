//! A received message, which must be settled.

use std::time::Duration;

use contract::headers;
use lapin::{
    Acker, BasicProperties,
    options::{BasicAckOptions, BasicNackOptions},
    types::{AMQPValue, FieldTable},
};
use tokio::time::timeout;

use super::{HeaderValue, Message};

/// How long settling a delivery may take. A broker that accepts no bytes for longer counts as lost.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(10);

/// The delivery's channel is closed. The broker has taken the message back and delivers it again; nothing
/// needs to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the delivery can no longer be settled: the broker has taken it back")]
pub struct StaleDelivery;

/// A received message. It belongs to this consumer until it is settled or the connection ends. Dropping it
/// settles nothing.
#[derive(Debug)]
pub struct Delivery {
    pub body: Vec<u8>,
    /// Whether the broker has delivered the message before, to any consumer.
    pub redelivered: bool,
    properties: BasicProperties,
    acker: Acker,
}

impl Delivery {
    pub(super) fn new(delivery: lapin::message::Delivery) -> Self {
        Self {
            body: delivery.data,
            redelivered: delivery.redelivered,
            properties: delivery.properties,
            acker: delivery.acker,
        }
    }

    /// How often the broker has delivered this message before: the quorum queue's count; on a classic queue 1
    /// for any number.
    #[must_use]
    pub fn delivery_count(&self) -> u64 {
        self.header_number(headers::X_DELIVERY_COUNT)
            .and_then(|count| u64::try_from(count).ok())
            .unwrap_or_else(|| u64::from(self.redelivered))
    }

    /// How often this message and its earlier copies were delivered before.
    #[must_use]
    pub fn deliveries_before(&self) -> u64 {
        self.delivery_count()
            .saturating_add(self.header_count(headers::X_EARLIER_DELIVERIES))
    }

    /// A header with a count; 0 if it is missing.
    #[must_use]
    pub fn header_count(&self, name: &str) -> u64 {
        let count = self.header_number(name);
        count.and_then(|count| u64::try_from(count).ok()).unwrap_or(0)
    }

    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.properties.message_id().as_ref().map(ToString::to_string)
    }

    /// A text header.
    #[must_use]
    pub fn header_text(&self, name: &str) -> Option<String> {
        match self.header(name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            AMQPValue::ShortString(text) => Some(text.to_string()),
            _ => None,
        }
    }

    /// A header with a whole number of any width.
    #[must_use]
    pub fn header_number(&self, name: &str) -> Option<i64> {
        match self.header(name)? {
            AMQPValue::ShortShortInt(number) => Some((*number).into()),
            AMQPValue::ShortShortUInt(number) => Some((*number).into()),
            AMQPValue::ShortInt(number) => Some((*number).into()),
            AMQPValue::ShortUInt(number) => Some((*number).into()),
            AMQPValue::LongInt(number) => Some((*number).into()),
            AMQPValue::LongUInt(number) => Some((*number).into()),
            AMQPValue::LongLongInt(number) => Some(*number),
            _ => None,
        }
    }

    /// Why and how often the broker gave up the message: the newest entry of `x-death`, as `(queue, reason, count)`.
    #[must_use]
    pub fn death(&self) -> Option<(String, String, i64)> {
        let AMQPValue::FieldArray(deaths) = self.header("x-death")? else {
            return None;
        };
        let AMQPValue::FieldTable(newest) = deaths.as_slice().first()? else {
            return None;
        };
        let text = |name: &str| match field(newest, name)? {
            AMQPValue::LongString(text) => Some(text.to_string()),
            _ => None,
        };
        let count = match field(newest, "count") {
            Some(AMQPValue::LongLongInt(count)) => *count,
            _ => 1,
        };
        Some((text("queue")?, text("reason")?, count))
    }

    /// All headers, as the broker sent them.
    #[must_use]
    pub fn headers(&self) -> Option<&FieldTable> {
        self.properties.headers().as_ref()
    }

    /// A copy of the message to publish again, to any queue: body, id and this project's headers. Headers
    /// that the broker added are left out, in particular its delivery count.
    #[must_use]
    pub fn as_message(&self) -> Message {
        let mut message = Message::new(self.body.clone());
        message.message_id = self.message_id();
        for name in [
            headers::TRACEPARENT,
            headers::TRACESTATE,
            headers::X_EARLIER_DELIVERIES,
            headers::X_UNREADABLE_RETURNS,
            headers::X_KILLED_RETURNS,
            headers::X_PARKED_REASON,
        ] {
            let value = self
                .header_text(name)
                .map(HeaderValue::Text)
                .or_else(|| self.header_number(name).map(HeaderValue::Number));
            if let Some(value) = value {
                message.headers.insert(name.to_owned(), value);
            }
        }
        message
    }

    /// Acknowledges the message: the broker deletes it.
    ///
    /// # Errors
    /// [`StaleDelivery`] if the broker has taken the message back; it delivers it again.
    pub async fn ack(&self) -> Result<(), StaleDelivery> {
        settled(self.acker.ack(BasicAckOptions::default())).await
    }

    /// Returns the message to the queue. This counts as a delivery.
    ///
    /// # Errors
    /// [`StaleDelivery`] if the broker has already taken it back.
    pub async fn requeue(&self) -> Result<(), StaleDelivery> {
        let options = BasicNackOptions {
            requeue: true,
            ..BasicNackOptions::default()
        };
        settled(self.acker.nack(options)).await
    }

    /// Whether the message can no longer be settled.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        !self.acker.usable()
    }

    fn header(&self, name: &str) -> Option<&AMQPValue> {
        field(self.headers()?, name)
    }
}

fn field<'a>(table: &'a FieldTable, name: &str) -> Option<&'a AMQPValue> {
    table.inner().get(name)
}

async fn settled(settling: impl Future<Output = lapin::Result<bool>>) -> Result<(), StaleDelivery> {
    match timeout(SETTLE_TIMEOUT, settling).await {
        Ok(Ok(true)) => Ok(()),
        Ok(Ok(false) | Err(_)) | Err(_) => Err(StaleDelivery),
    }
}

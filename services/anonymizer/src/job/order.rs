//! What the broker handed over, as far as a job looks at it.

use chassis::broker::{Delivery, Message};
use contract::headers::{X_KILLED_RETURNS, X_UNREADABLE_RETURNS};
use telemetry::TraceContext;

/// A delivered message.
#[derive(Debug)]
pub struct Order {
    /// The message as it would be published again: body, id, our headers.
    pub message: Message,
    /// Whether the broker has given it out before, so that it may have ended
    /// the process that had it.
    pub suspect: bool,
    /// How often the message has been given back because its original could
    /// not be read.
    pub unreadable_returns: u64,
    /// How often it has been given back because its child process was killed
    /// from outside.
    pub killed_returns: u64,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl From<&Delivery> for Order {
    fn from(delivery: &Delivery) -> Self {
        Self {
            message: delivery.as_message(),
            suspect: delivery.deliveries_before() > 0,
            unreadable_returns: delivery.header_count(X_UNREADABLE_RETURNS),
            killed_returns: delivery.header_count(X_KILLED_RETURNS),
            trace: TraceContext::extract(|name| delivery.header_text(name)),
        }
    }
}

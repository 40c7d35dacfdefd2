//! What the broker handed over, as far as a job looks at it.

use chassis::broker::{Delivery, Message};
use telemetry::TraceContext;

/// A delivered message.
#[derive(Debug)]
pub struct Order {
    /// The message as it would be published again: body, id, our headers.
    pub message: Message,
    /// Whether the broker has given it out before, so that it may have ended
    /// the process that had it.
    pub suspect: bool,
    /// How often the message has been given back because its job alone had
    /// trouble.
    pub unreadable_returns: u64,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl From<&Delivery> for Order {
    fn from(delivery: &Delivery) -> Self {
        Self {
            message: delivery.as_message(),
            suspect: delivery.deliveries_before() > 0,
            unreadable_returns: delivery.unreadable_returns(),
            trace: TraceContext::extract(|name| delivery.header_text(name)),
        }
    }
}

//! Headers of messages.

/// W3C Trace Context: the trace of the message.
pub const TRACEPARENT: &str = "traceparent";

/// W3C Trace Context: vendor data of the trace.
pub const TRACESTATE: &str = "tracestate";

/// How often a quorum queue has delivered the message before, set by the broker; absent on the first delivery.
pub const X_DELIVERY_COUNT: &str = "x-delivery-count";

/// Number of deliveries of earlier copies of the message. A worker that republishes a job before it reaches the delivery
/// limit adds [`X_DELIVERY_COUNT`].
pub const X_EARLIER_DELIVERIES: &str = "x-irmgard-earlier-deliveries";

/// How often a worker has republished the message because the store works, but failed at its object.
pub const X_UNREADABLE_RETURNS: &str = "x-irmgard-unreadable-returns";

/// How often a worker has republished the message because its child process was killed from outside.
pub const X_KILLED_RETURNS: &str = "x-irmgard-killed-returns";

/// Why a message was moved to the parked queue.
pub const X_PARKED_REASON: &str = "x-irmgard-parked-reason";

/// Content type of every message.
pub const CONTENT_TYPE: &str = "application/json";

/// Maximum size of a message, bytes; longer ones are parked unread.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

//! Message headers that both sides read.

/// W3C Trace Context: the trace that the message belongs to.
pub const TRACEPARENT: &str = "traceparent";

/// W3C Trace Context: vendor data of the trace.
pub const TRACESTATE: &str = "tracestate";

/// How often a quorum queue has delivered the message before, set by the
/// broker; absent on the first delivery.
pub const X_DELIVERY_COUNT: &str = "x-delivery-count";

/// Deliveries of earlier copies of the message: a worker that publishes a job
/// again, to take it out of the reach of the delivery limit, adds
/// [`X_DELIVERY_COUNT`] to it.
pub const X_EARLIER_DELIVERIES: &str = "x-irmgard-earlier-deliveries";

/// How often a worker has published the message again because the store, in
/// order otherwise, failed at its object.
pub const X_UNREADABLE_RETURNS: &str = "x-irmgard-unreadable-returns";

/// How often a worker has published the message again because the child process
/// that worked on its photo was killed from outside.
pub const X_KILLED_RETURNS: &str = "x-irmgard-killed-returns";

/// Why a message was put into the parking queue.
pub const X_PARKED_REASON: &str = "x-irmgard-parked-reason";

/// Content type of every message.
pub const CONTENT_TYPE: &str = "application/json";

/// The largest message that is read; longer ones are parked unread.
pub const MAX_MESSAGE_BYTES: usize = 256 * 1024;

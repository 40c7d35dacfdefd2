//! Returns a message to the queue without counting towards the broker's delivery limit.
//!
//! The broker drops a message after a number of deliveries (its policy says 20), whatever ended them. So the worker
//! does not requeue a message: it publishes a copy, waits for the confirm, and then acks the original. The copy's count
//! starts again at zero. A header carries how often the message was delivered before: a photo that was delivered before
//! may have crashed a worker.

use std::time::Duration;

use contract::headers::{X_EARLIER_DELIVERIES, X_KILLED_RETURNS, X_UNREADABLE_RETURNS};
use service_runtime::{broker::Delivery, failpoint};
use tokio::time::sleep;

use super::JobConsumer;
use crate::job::Unfinished;

/// Deliveries after which the worker republishes a message: half of the broker's limit.
const REPUBLISH_AT: u64 = 10;

/// Deliveries, counted over all copies, after which the worker leaves a message to the
/// broker's limit. Only a photo that crashes every worker gets this far. The broker then
/// dead-letters the message, and irmgard marks the photo as failed.
const STOP_REPUBLISHING_AT: u64 = 100;

/// Delay between two attempts to publish the copy.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// Why a message returns to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RepublishReason {
    /// The worker received the message while it was shutting down.
    NotStarted,
    /// The message is close to the broker's delivery limit.
    NearDeliveryLimit,
    /// The job stopped without a result.
    Unfinished(Unfinished),
}

impl RepublishReason {
    /// The value in logs.
    const fn name(self) -> &'static str {
        match self {
            Self::NotStarted => "not-started",
            Self::NearDeliveryLimit => "near-delivery-limit",
            Self::Unfinished(unfinished) => unfinished.name(),
        }
    }

    /// Whether this return counts as a delivery: the photo itself is at fault.
    const fn is_counted(self) -> bool {
        matches!(
            self,
            Self::Unfinished(Unfinished::Stuck | Unfinished::EncodingFailed)
        )
    }
}

impl JobConsumer {
    /// Publishes a copy, waits for the confirm, and acks the original. Retries until the
    /// broker takes the delivery back or the process shuts down.
    pub(super) async fn republish(&self, delivery: &Delivery, reason: RepublishReason) {
        let worker = &self.worker;
        let before = delivery.deliveries_before() + u64::from(reason.is_counted());
        let mut copy = delivery
            .as_message()
            .with_header(X_EARLIER_DELIVERIES, i64::try_from(before).unwrap_or(i64::MAX));
        let counter = match reason {
            RepublishReason::Unfinished(Unfinished::Unreadable) => Some(X_UNREADABLE_RETURNS),
            RepublishReason::Unfinished(Unfinished::Killed) => Some(X_KILLED_RETURNS),
            _ => None,
        };
        if let Some(header) = counter {
            let returns = delivery.header_count(header).saturating_add(1);
            copy = copy.with_header(header, i64::try_from(returns).unwrap_or(i64::MAX));
        }
        loop {
            if delivery.is_stale() {
                return;
            }
            match worker.publisher.publish(&worker.queues.jobs, &copy).await {
                Ok(()) => {
                    failpoint::reach("anonymizer::after-republish", None);
                    let _ = delivery.ack().await;
                    tracing::info!(reason = reason.name(), "published the message again");
                    return;
                }
                Err(error) if self.shutdown.is_cancelled() => {
                    tracing::warn!(%error, "cannot republish the message: requeuing it instead");
                    let _ = delivery.requeue().await;
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot republish the message yet: retrying");
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }
}

/// Whether the message must be republished before anything else happens.
pub(super) fn is_near_delivery_limit(delivery: &Delivery) -> bool {
    must_republish(delivery.delivery_count(), delivery.deliveries_before())
}

const fn must_republish(count: u64, before: u64) -> bool {
    count >= REPUBLISH_AT && before < STOP_REPUBLISHING_AT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_republished_near_the_limit_but_not_forever() {
        assert!(!must_republish(0, 0));
        assert!(!must_republish(9, 89));
        assert!(must_republish(10, 10));
        assert!(must_republish(15, 95));
        assert!(!must_republish(10, 100));
        assert!(!must_republish(20, 110));
    }
}

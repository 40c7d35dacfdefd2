//! How a delivery ends: acked, or given back in a way that can be repeated
//! without end.
//!
//! The broker drops a message after so many deliveries (its policy says 20),
//! whatever ended them. So a message is not simply returned: a copy is
//! published, confirmed, and only then the original acked. The copy begins to
//! count anew, and carries how often its predecessors were delivered, since
//! that says that it may have ended somebody's process.

use std::time::Duration;

use chassis::broker::Delivery;
use contract::headers::{X_EARLIER_DELIVERIES, X_KILLED_RETURNS, X_UNREADABLE_RETURNS};
use tokio::time::sleep;

use super::Line;
use crate::failpoint;

/// Half of the broker's delivery limit.
const RENEW_AT: u64 = 10;

/// Nothing but a photo that ends every process that touches it is delivered
/// so often without an end; then the broker's limit may have it, and irmgard
/// marks it failed.
const GIVE_UP_AT: u64 = 100;

/// Between two tries to publish the copy.
const PAUSE: Duration = Duration::from_millis(500);

/// Why a delivery is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GiveBack {
    /// It was received when the process had begun to end.
    Unbegun,
    /// The process ends before the job.
    ShuttingDown,
    /// A server was away too long.
    HeldTooLong,
    /// The store fails at its object.
    Unreadable,
    /// Its child process is killed from outside.
    Killed,
    /// Another large photo is in work.
    LargePhotoInWork,
    /// It comes close to the broker's delivery limit.
    NearLimit,
    /// A thread was lost in it: the one reason that speaks against the photo.
    Stuck,
}

/// A delivery that is to be settled.
pub(super) struct Settle<'a> {
    line: &'a Line,
    delivery: &'a Delivery,
}

impl Line {
    pub(super) const fn settle<'a>(&'a self, delivery: &'a Delivery) -> Settle<'a> {
        Settle { line: self, delivery }
    }
}

impl Settle<'_> {
    /// Whether the message must be published anew before anything else.
    pub(super) fn is_near_the_limit(&self) -> bool {
        near_the_limit(self.delivery.delivery_count(), self.delivery.deliveries_before())
    }

    /// The job is done.
    pub(super) async fn done(&self) {
        if self.delivery.ack().await.is_err() {
            tracing::info!("the broker has taken the message back; whoever gets it finds the job done");
        }
    }

    /// Publishes a copy, confirmed, and acks; tries as long as the delivery is
    /// ours and the process may.
    pub(super) async fn again(&self, why: GiveBack) {
        let worker = &self.line.worker;
        let before = self.delivery.deliveries_before() + u64::from(why == GiveBack::Stuck);
        let mut copy = self
            .delivery
            .as_message()
            .with_header(X_EARLIER_DELIVERIES, i64::try_from(before).unwrap_or(i64::MAX));
        let counted = match why {
            GiveBack::Unreadable => Some(X_UNREADABLE_RETURNS),
            GiveBack::Killed => Some(X_KILLED_RETURNS),
            _ => None,
        };
        if let Some(name) = counted {
            let returns = self.delivery.header_count(name).saturating_add(1);
            copy = copy.with_header(name, i64::try_from(returns).unwrap_or(i64::MAX));
        }
        loop {
            if self.delivery.is_stale() {
                return;
            }
            match worker.publisher.publish(&worker.queues.jobs, &copy).await {
                Ok(()) => {
                    failpoint::reach("anonymizer::after-republish", None);
                    let _ = self.delivery.ack().await;
                    tracing::info!(reason = ?why, "published the message again");
                    return;
                }
                Err(error) if self.line.shutdown.is_cancelled() => {
                    tracing::warn!(%error, "cannot be published again: returned to the queue");
                    let _ = self.delivery.requeue().await;
                    return;
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot be published again yet");
                    sleep(PAUSE).await;
                }
            }
        }
    }
}

const fn near_the_limit(count: u64, before: u64) -> bool {
    count >= RENEW_AT && before < GIVE_UP_AT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_renewed_until_they_are_hopeless() {
        assert!(!near_the_limit(0, 0));
        assert!(!near_the_limit(9, 89));
        assert!(near_the_limit(10, 10));
        assert!(near_the_limit(15, 95));
        assert!(!near_the_limit(10, 100));
        assert!(!near_the_limit(20, 110));
    }
}

//! A buffer of received deliveries that no task has taken yet.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Delivery;

/// Holds at most the prefetch count of deliveries, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct DeliveryBuffer {
    state: Mutex<BufferState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct BufferState {
    deliveries: VecDeque<Delivery>,
    closed: bool,
}

impl DeliveryBuffer {
    pub(super) fn push(&self, delivery: Delivery) {
        self.lock().deliveries.push_back(delivery);
        self.changed.notify_one();
    }

    /// Waits for a delivery that can still be settled; `None` once the buffer is closed and empty.
    pub(super) async fn next(&self) -> Option<Delivery> {
        loop {
            {
                let mut state = self.lock();
                while let Some(delivery) = state.deliveries.pop_front() {
                    if !delivery.is_stale() {
                        if !state.deliveries.is_empty() {
                            // A notification wakes only one waiter, however many deliveries arrived.
                            self.changed.notify_one();
                        }
                        return Some(delivery);
                    }
                }
                if state.closed {
                    // The notification wakes one waiter, which wakes the next.
                    self.changed.notify_one();
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Drops deliveries that the broker has taken back.
    pub(super) fn drop_stale(&self) {
        self.lock().deliveries.retain(|delivery| !delivery.is_stale());
    }

    /// Call this when no more deliveries will arrive.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

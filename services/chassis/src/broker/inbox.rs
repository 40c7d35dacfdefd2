//! Deliveries that nobody has asked for yet.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use super::Delivery;

/// At most the prefetch count of deliveries, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    deliveries: VecDeque<Delivery>,
    closed: bool,
}

impl Inbox {
    pub(super) fn put(&self, delivery: Delivery) {
        self.lock().deliveries.push_back(delivery);
        self.changed.notify_one();
    }

    /// Waits for a delivery that can still be settled; `None` once the inbox
    /// is closed and empty.
    pub(super) async fn next(&self) -> Option<Delivery> {
        loop {
            {
                let mut state = self.lock();
                while let Some(delivery) = state.deliveries.pop_front() {
                    if !delivery.is_stale() {
                        if !state.deliveries.is_empty() {
                            // A permit covers one waiter, whatever has arrived.
                            self.changed.notify_one();
                        }
                        return Some(delivery);
                    }
                }
                if state.closed {
                    // The permit wakes one waiter, who wakes the next.
                    self.changed.notify_one();
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Drops what the broker has taken back.
    pub(super) fn forget_stale(&self) {
        self.lock().deliveries.retain(|delivery| !delivery.is_stale());
    }

    /// Nothing more will arrive.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! Connections that are probably dead although the kernel keeps them open.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Connections that may be stale.
///
/// If a server vanished from the network, its connections stay open on our side and answer nothing. After a timeout
/// on one of them, all connections that were opened before the wait are suspect. They are closed when they are next
/// taken from the pool, so that each does not cost another request its time. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(super) struct StaleConnections(Arc<Mutex<Option<Instant>>>);

impl StaleConnections {
    /// Marks all connections that were opened before `time`.
    pub(super) fn mark_opened_before(&self, time: Instant) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = (*newest).max(Some(time));
    }

    /// Whether a connection of this age is marked.
    pub(super) fn contains_age(&self, age: Duration) -> bool {
        let newest = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.is_some_and(|newest| age >= newest.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_connections_from_before_the_timeout_are_stale() {
        let stale = StaleConnections::default();
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(!stale.contains_age(Duration::from_secs(3600)));
        stale.mark_opened_before(ago(10));
        // A request that waited for longer reports later.
        stale.mark_opened_before(ago(20));
        assert!(stale.contains_age(Duration::from_secs(60)));
        assert!(
            !stale.contains_age(Duration::from_secs(5)),
            "opened while the request waited"
        );
    }
}

//! Connections that have died with others, unnoticed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When a server vanished from the network, its connections stay open on our
/// side and answer nothing. One that was waited for in vain makes all those
/// suspect that were made before the wait: they are closed when their turn
/// comes, instead of costing one more request its time each. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// A connection has not answered since then.
    pub(super) fn raise(&self, since: Instant) {
        let mut raised = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *raised = (*raised).max(Some(since));
    }

    /// Whether a connection of this age was there at that time.
    pub(super) fn covers(&self, age: Duration) -> bool {
        let raised = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        raised.is_some_and(|raised| age >= raised.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_covers_what_was_there_before_and_nothing_later() {
        let suspicion = Suspicion::default();
        let now = Instant::now();
        let ago = |seconds| now.checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(!suspicion.covers(Duration::from_secs(3600)));
        suspicion.raise(ago(10));
        // Another one that waited for longer.
        suspicion.raise(ago(20));
        assert!(suspicion.covers(Duration::from_secs(60)));
        assert!(
            !suspicion.covers(Duration::from_secs(5)),
            "made while the other was waited for"
        );
    }
}

//! Connections that have died with others, unnoticed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// When a server vanished from the network, its connections stay open on our
/// side and answer nothing. One that shows it makes all those suspect that
/// were made before: they are closed when their turn comes, instead of
/// costing one more request its time each. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Suspicion(Arc<Mutex<Option<Instant>>>);

impl Suspicion {
    /// A connection did not answer.
    pub(super) fn raise(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
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
        assert!(!suspicion.covers(Duration::from_secs(3600)));
        suspicion.raise();
        assert!(suspicion.covers(Duration::from_secs(60)));
        std::thread::sleep(Duration::from_millis(5));
        assert!(!suspicion.covers(Duration::from_millis(1)));
    }
}

//! What was posted, and what irmgard has answered for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A photo that was answered with 2xx.
#[derive(Clone, Debug)]
pub struct Answered {
    /// Its number.
    pub id: i64,
    /// Which photo it is, by the number in its file.
    pub number: u64,
    /// The trace that it was posted with.
    pub trace_id: String,
}

/// Posts and answers; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    answered: BTreeMap<i64, Answered>,
    /// Which base picture a file is of, by its SHA-256 in hexadecimal.
    posted: HashMap<String, usize>,
    /// Attempts that were answered with no 2xx, or not at all.
    unanswered: usize,
}

impl Ledger {
    pub(super) fn posted(&self, sha256: String, base: usize) {
        self.lock().posted.insert(sha256, base);
    }

    pub(super) fn answered(&self, answered: Answered) {
        self.lock().answered.insert(answered.id, answered);
    }

    pub(super) fn unanswered(&self) {
        self.lock().unanswered += 1;
    }

    /// All photos that were answered with 2xx, by number.
    #[must_use]
    pub fn all(&self) -> BTreeMap<i64, Answered> {
        self.lock().answered.clone()
    }

    /// Attempts that were answered with no 2xx, or not at all.
    #[must_use]
    pub fn unanswered_attempts(&self) -> usize {
        self.lock().unanswered
    }

    /// Which base picture the file with this SHA-256 shows.
    #[must_use]
    pub fn base_of(&self, sha256: &str) -> Option<usize> {
        self.lock().posted.get(sha256).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

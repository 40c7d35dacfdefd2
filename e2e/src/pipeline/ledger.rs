//! A ledger of all uploads and acknowledgements, for comparison with the database.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A photo answered with 2xx.
#[derive(Clone, Debug)]
pub struct AcceptedPhoto {
    pub id: i64,
    /// The number in its file.
    pub number: u64,
    /// The trace id of its upload.
    pub trace_id: String,
}

/// All uploads and acknowledgements. Clones share the ledger.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    accepted: BTreeMap<i64, AcceptedPhoto>,
    /// The index of the base picture, by the file's SHA-256 in hexadecimal.
    uploaded: HashMap<String, usize>,
    /// Attempts without a 2xx.
    failed_attempts: usize,
}

impl Ledger {
    pub(super) fn record_upload(&self, sha256: String, base: usize) {
        self.lock().uploaded.insert(sha256, base);
    }

    pub(super) fn record_acceptance(&self, photo: AcceptedPhoto) {
        self.lock().accepted.insert(photo.id, photo);
    }

    pub(super) fn record_failure(&self) {
        self.lock().failed_attempts += 1;
    }

    /// All photos answered with 2xx, by id.
    pub fn accepted(&self) -> BTreeMap<i64, AcceptedPhoto> {
        self.lock().accepted.clone()
    }

    /// The number of attempts without a 2xx. They may have stored a photo all the same.
    pub fn failed_attempts(&self) -> usize {
        self.lock().failed_attempts
    }

    /// The index of the base picture of the file with this SHA-256.
    pub fn base_index(&self, sha256: &str) -> Option<usize> {
        self.lock().uploaded.get(sha256).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

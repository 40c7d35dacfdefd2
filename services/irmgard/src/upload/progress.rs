//! Who keeps a transfer waiting: the camera, or the object store.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::error::UploadError;
use crate::alive::Alive;

/// How often the progress is looked at, in parts of the store's time limit.
const LOOKS: u32 = 8;

/// The state of a transfer, written by the body that the store reads from and
/// read by whoever waits for the end.
#[derive(Debug)]
pub struct Progress {
    began: Instant,
    /// Milliseconds since `began` of the last change, and in the lowest bit
    /// who is to act: 0 the store, 1 the camera.
    state: AtomicU64,
    failure: Mutex<Option<UploadError>>,
    sha256: OnceLock<[u8; 32]>,
}

/// Who is to act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Bytes lie ready, or all are sent: the store must take or answer.
    OnStore,
    /// All bytes so far are handed over.
    OnCamera,
}

/// A transfer made no progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stall {
    /// By the store.
    Store,
    /// By the camera.
    Camera,
}

impl Progress {
    /// Begins now, with the store to act: it must accept the connection.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            state: AtomicU64::new(0),
            failure: Mutex::new(None),
            sha256: OnceLock::new(),
        }
    }

    /// From now on it is up to `waiting`.
    pub fn set(&self, waiting: Waiting) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 1);
        let bit = u64::from(waiting == Waiting::OnCamera);
        self.state.store(millis << 1 | bit, Ordering::Relaxed);
    }

    /// Who is to act, and since when.
    pub fn get(&self) -> (Waiting, Instant) {
        let state = self.state.load(Ordering::Relaxed);
        let waiting = if state & 1 == 1 {
            Waiting::OnCamera
        } else {
            Waiting::OnStore
        };
        (waiting, self.began + Duration::from_millis(state >> 1))
    }

    /// The camera's bytes ended in this error.
    pub fn fail(&self, error: UploadError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// The error that the camera's bytes ended in, once.
    pub fn take_failure(&self) -> Option<UploadError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// All bytes went through, with this digest.
    pub fn complete(&self, sha256: [u8; 32]) {
        let _ = self.sha256.set(sha256);
    }

    /// The digest of all bytes, once all went through.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256.get().copied()
    }

    /// Returns when nothing has moved for too long.
    ///
    /// A store that answers other requests is busy, not stalled: it is given
    /// more time.
    pub async fn stall(&self, alive: &Alive, store_timeout: Duration, idle_timeout: Duration) -> Stall {
        loop {
            let (waiting, since) = self.get();
            let (deadline, stall) = match waiting {
                Waiting::OnCamera => (since + idle_timeout, Stall::Camera),
                Waiting::OnStore => (alive.deadline(since, store_timeout), Stall::Store),
            };
            let now = Instant::now();
            if now >= deadline {
                return stall;
            }
            tokio::time::sleep_until(deadline.min(now + store_timeout / LOOKS)).await;
        }
    }
}

//! Progress of a transfer from the camera to the object store: shows which side delays it.

use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::error::UploadError;
use crate::liveness::Liveness;

/// How often to check the progress, per time limit of the store.
const CHECKS_PER_TIMEOUT: u32 = 8;

/// The state of a transfer. [`TransferBody`](super::transfer::TransferBody) writes it; the waiting request reads it.
#[derive(Debug)]
pub struct TransferProgress {
    started: Instant,
    /// Milliseconds since `started` of the last change, shifted by one. The lowest bit is 0 while the store
    /// must act and 1 while the camera must act.
    state: AtomicU64,
    failure: Mutex<Option<UploadError>>,
    sha256: OnceLock<[u8; 32]>,
}

/// The side that must act next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitingFor {
    /// Bytes are ready, or all are sent: the store must read or answer.
    Store,
    /// All bytes so far are handed over: the camera must send.
    Camera,
}

/// The side that caused a stall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StalledBy {
    Store,
    Camera,
}

impl TransferProgress {
    /// Begins now and waits for the store, which must accept the connection.
    pub fn new() -> Self {
        Self {
            started: Instant::now(),
            state: AtomicU64::new(0),
            failure: Mutex::new(None),
            sha256: OnceLock::new(),
        }
    }

    pub fn set_waiting_for(&self, side: WaitingFor) {
        let millis = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX >> 1);
        let bit = u64::from(side == WaitingFor::Camera);
        self.state.store(millis << 1 | bit, Ordering::Relaxed);
    }

    /// The side that must act, and since when.
    pub fn waiting_for(&self) -> (WaitingFor, Instant) {
        let state = self.state.load(Ordering::Relaxed);
        let side = if state & 1 == 1 {
            WaitingFor::Camera
        } else {
            WaitingFor::Store
        };
        (side, self.started + Duration::from_millis(state >> 1))
    }

    /// Records the error of the camera's side.
    pub fn fail(&self, error: UploadError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    /// Takes the error of the camera's side.
    pub fn take_failure(&self) -> Option<UploadError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records the digest after all bytes were handed over.
    pub fn complete(&self, sha256: [u8; 32]) {
        let _ = self.sha256.set(sha256);
    }

    /// The digest, once all bytes were handed over.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.sha256.get().copied()
    }

    /// Returns when nothing has moved for too long. A store that answers other requests is busy, not stalled,
    /// and gets more time.
    pub async fn wait_for_stall(
        &self,
        liveness: &Liveness,
        store_timeout: Duration,
        idle_timeout: Duration,
    ) -> StalledBy {
        loop {
            let (side, since) = self.waiting_for();
            let (deadline, stall) = match side {
                WaitingFor::Camera => (since + idle_timeout, StalledBy::Camera),
                WaitingFor::Store => (liveness.deadline(since, store_timeout), StalledBy::Store),
            };
            let now = Instant::now();
            if now >= deadline {
                return stall;
            }
            tokio::time::sleep_until(deadline.min(now + store_timeout / CHECKS_PER_TIMEOUT)).await;
        }
    }
}

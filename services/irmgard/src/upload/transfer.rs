//! The body of a request to the object store: buffered bytes, then the bytes that the camera still sends.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use sha2::{Digest, Sha256};
use sync_wrapper::SyncWrapper;

use super::{
    error::UploadError,
    limited_body::{RemainingBody, incomplete_body},
    progress::{TransferProgress, WaitingFor},
};
use crate::liveness::Liveness;

/// If the store accepts bytes after a wait of at least this time, the store counts as alive. A shorter wait may be our own.
const MIN_BACKPRESSURE: Duration = Duration::from_millis(20);

/// Passes bytes to the object store and hashes those that the camera sends.
pub struct TransferBody {
    buffered: VecDeque<Bytes>,
    remaining_body: Option<SyncWrapper<RemainingBody>>,
    remaining: u64,
    hasher: Option<Sha256>,
    progress: Arc<TransferProgress>,
    liveness: Arc<Liveness>,
    started: bool,
}

/// The camera's side failed; the [`TransferProgress`] holds the reason.
#[derive(Debug, thiserror::Error)]
#[error("the upload was aborted")]
pub struct UploadAborted;

impl TransferBody {
    /// A body whose bytes are all in memory.
    pub fn from_bytes(
        buffered: Vec<Bytes>,
        progress: Arc<TransferProgress>,
        liveness: Arc<Liveness>,
    ) -> Self {
        Self {
            remaining: buffered.iter().map(|bytes| bytes.len() as u64).sum(),
            buffered: buffered.into(),
            remaining_body: None,
            hasher: None,
            progress,
            liveness,
            started: false,
        }
    }

    /// A body of `length` bytes: a head, then the bytes that the camera still sends. The [`TransferProgress`]
    /// gets its digest.
    pub fn streamed(
        head: Bytes,
        remaining_body: RemainingBody,
        length: u64,
        progress: Arc<TransferProgress>,
        liveness: Arc<Liveness>,
    ) -> Self {
        Self {
            remaining: length,
            buffered: VecDeque::from([head]),
            remaining_body: Some(SyncWrapper::new(remaining_body)),
            hasher: Some(Sha256::new()),
            progress,
            liveness,
            started: false,
        }
    }

    /// Number of bytes still to send.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    fn hand_over(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, UploadAborted>>> {
        let Some(remaining) = self.remaining.checked_sub(bytes.len() as u64) else {
            return self.fail(UploadError::Incomplete(
                "longer than its Content-Length".to_owned(),
            ));
        };
        self.remaining = remaining;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes);
        }
        if remaining == 0
            && let Some(hasher) = self.hasher.take()
        {
            self.progress.complete(hasher.finalize().into());
        }
        self.progress.set_waiting_for(WaitingFor::Store);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn fail(&self, error: UploadError) -> Poll<Option<Result<Frame<Bytes>, UploadAborted>>> {
        self.progress.fail(error);
        Poll::Ready(Some(Err(UploadAborted)))
    }
}

impl http_body::Body for TransferBody {
    type Data = Bytes;
    type Error = UploadAborted;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadAborted>>> {
        let this = &mut *self;
        if let (WaitingFor::Store, since) = this.progress.waiting_for()
            && std::mem::replace(&mut this.started, true)
            && since.elapsed() >= MIN_BACKPRESSURE
        {
            this.liveness.record_answer();
        }
        if let Some(bytes) = this.buffered.pop_front() {
            return this.hand_over(bytes);
        }
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        loop {
            let Some(remaining_body) = &mut this.remaining_body else {
                return Poll::Ready(None);
            };
            let remaining_body = remaining_body.get_mut();
            match Pin::new(&mut remaining_body.body).poll_frame(context) {
                Poll::Pending => {
                    if this.progress.waiting_for().0 == WaitingFor::Store {
                        this.progress.set_waiting_for(WaitingFor::Camera);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => {
                        if let (WaitingFor::Camera, since) = this.progress.waiting_for()
                            && let Err(slow) = remaining_body.meter.record(bytes.len(), since.elapsed())
                        {
                            return this.fail(slow.into());
                        }
                        return this.hand_over(bytes);
                    }
                    Ok(_) | Err(_) => {}
                },
                Poll::Ready(Some(Err(error))) => return this.fail(incomplete_body(error)),
                Poll::Ready(None) => {
                    return this.fail(UploadError::Incomplete(
                        "shorter than its Content-Length".to_owned(),
                    ));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

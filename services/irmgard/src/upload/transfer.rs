//! The body of a request to the object store: bytes that are there already,
//! then those that the camera still sends.

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
    progress::{Progress, Waiting},
    source::{Rest, incomplete},
};
use crate::alive::Alive;

/// The store had no room for the next bytes for so long, and then had: it
/// works. A shorter wait may be our own.
const BACKPRESSURE: Duration = Duration::from_millis(20);

/// Hands bytes to the object store, hashing what the camera still sends.
pub struct Transfer {
    ready: VecDeque<Bytes>,
    rest: Option<SyncWrapper<Rest>>,
    remaining: u64,
    hasher: Option<Sha256>,
    progress: Arc<Progress>,
    alive: Arc<Alive>,
    begun: bool,
}

/// The camera's part failed; the reason is in the [`Progress`].
#[derive(Debug, thiserror::Error)]
#[error("the upload broke off")]
pub struct BrokenOff;

impl Transfer {
    /// Bytes that are all there.
    pub fn of(ready: Vec<Bytes>, progress: Arc<Progress>, alive: Arc<Alive>) -> Self {
        Self {
            remaining: ready.iter().map(|bytes| bytes.len() as u64).sum(),
            ready: ready.into(),
            rest: None,
            hasher: None,
            progress,
            alive,
            begun: false,
        }
    }

    /// A head, and after it what the camera still sends: `length` bytes in
    /// all, which the digest in the [`Progress`] is of.
    pub fn streamed(
        head: Bytes,
        rest: Rest,
        length: u64,
        progress: Arc<Progress>,
        alive: Arc<Alive>,
    ) -> Self {
        Self {
            remaining: length,
            ready: VecDeque::from([head]),
            rest: Some(SyncWrapper::new(rest)),
            hasher: Some(Sha256::new()),
            progress,
            alive,
            begun: false,
        }
    }

    /// Bytes in all that are still to be handed over.
    pub const fn remaining(&self) -> u64 {
        self.remaining
    }

    fn hand_over(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
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
        self.progress.set(Waiting::OnStore);
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn fail(&self, error: UploadError) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        self.progress.fail(error);
        Poll::Ready(Some(Err(BrokenOff)))
    }
}

impl http_body::Body for Transfer {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let this = &mut *self;
        if let (Waiting::OnStore, since) = this.progress.get()
            && std::mem::replace(&mut this.begun, true)
            && since.elapsed() >= BACKPRESSURE
        {
            this.alive.now();
        }
        if let Some(bytes) = this.ready.pop_front() {
            return this.hand_over(bytes);
        }
        if this.remaining == 0 {
            return Poll::Ready(None);
        }
        loop {
            let Some(rest) = &mut this.rest else {
                return Poll::Ready(None);
            };
            let rest = rest.get_mut();
            match Pin::new(&mut rest.body).poll_frame(context) {
                Poll::Pending => {
                    if this.progress.get().0 == Waiting::OnStore {
                        this.progress.set(Waiting::OnCamera);
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if !bytes.is_empty() => {
                        if let (Waiting::OnCamera, since) = this.progress.get()
                            && let Err(slow) = rest.pace.moved(bytes.len(), since.elapsed())
                        {
                            return this.fail(slow.into());
                        }
                        return this.hand_over(bytes);
                    }
                    Ok(_) | Err(_) => {}
                },
                Poll::Ready(Some(Err(error))) => return this.fail(incomplete(error)),
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

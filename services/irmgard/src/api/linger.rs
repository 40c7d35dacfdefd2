//! Lingering close (RFC 9112, section 9.6): after an early error response, the server reads the rest of the
//! body for a while. Otherwise the connection would be reset, and the client would lose the response.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Error, body::Body};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// Maximum number of bytes to read: what a client may still have in flight for a photo of several times the
/// usual limit.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// Maximum time to read; like nginx's `lingering_timeout`.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A request body. If it is dropped early, its rest is read in the background.
pub struct LingeringBody {
    body: Body,
    /// The client waits for permission to send (`Expect: 100-continue`). Reading would give it.
    waits_for_continue: bool,
    ended: bool,
}

impl LingeringBody {
    pub const fn new(body: Body, waits_for_continue: bool) -> Self {
        Self {
            body,
            waits_for_continue,
            ended: false,
        }
    }
}

impl http_body::Body for LingeringBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.waits_for_continue = false;
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LingeringBody {
    fn drop(&mut self) {
        if self.ended || self.waits_for_continue || self.body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let rest = std::mem::take(&mut self.body);
            runtime.spawn(tokio::time::timeout(MAX_TIME, read_on(rest)));
        }
    }
}

async fn read_on(mut body: Body) {
    let mut read = 0;
    while read < MAX_BYTES
        && let Some(Ok(frame)) = body.frame().await
    {
        read += frame.data_ref().map_or(0, Bytes::len);
    }
}

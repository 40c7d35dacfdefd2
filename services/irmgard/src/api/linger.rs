//! A body that is read on for a while after nobody wants it any more.
//!
//! A client that is told no in the middle of its upload would otherwise have
//! its connection reset, and with it lose the answer (RFC 9112, 9.6: a
//! lingering close).

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{Error, body::Body};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;

/// So much is read on at most, bytes: what a client has on its way that sends
/// a photo of several times the usual limit.
const MAX_BYTES: usize = 128 * 1024 * 1024;
/// So long at most; nginx's `lingering_timeout`.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A request's body; dropped early, it is read on in the background.
pub struct Lingering {
    body: Body,
    /// The client waits for leave to send (`Expect: 100-continue`), which
    /// reading would give.
    held_back: bool,
    ended: bool,
}

impl Lingering {
    /// Around a body that the client sends at once, or holds back.
    pub const fn new(body: Body, held_back: bool) -> Self {
        Self {
            body,
            held_back,
            ended: false,
        }
    }
}

impl http_body::Body for Lingering {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.held_back = false;
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

impl Drop for Lingering {
    fn drop(&mut self) {
        if self.ended || self.held_back || self.body.is_end_stream() {
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

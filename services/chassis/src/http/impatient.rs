//! A connection whose client must take what it asked for.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::connections::Connection;
use crate::pace::{LeastRate, Pace};

/// A stream whose writes fail once the other side has taken nothing for a
/// window of the least rate, or less than that rate: an answer that nobody
/// reads must not hold a connection, its buffers and the object that is being
/// read for it.
pub(super) struct Impatient<S> {
    stream: S,
    least: LeastRate,
    pace: Pace,
    /// Since when a write waits for room, and until when.
    waiting: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Is told when bytes come, and when they have gone.
    place: Option<Connection>,
}

impl<S> Impatient<S> {
    /// Around a stream to a client.
    pub(super) const fn new(stream: S, least: LeastRate, place: Connection) -> Self {
        Self::around(stream, least, Some(place))
    }

    const fn around(stream: S, least: LeastRate, place: Option<Connection>) -> Self {
        Self {
            stream,
            least,
            pace: Pace::new(least),
            waiting: None,
            place,
        }
    }

    /// What a write came to, unless the client is too slow.
    fn judge(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = written else {
            let window = self.least.window;
            let (_, end) = self
                .waiting
                .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(window))));
            ready!(end.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        let waited = self.waiting.take();
        if let Ok(bytes) = &written {
            let waited = waited.map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let moved = self.pace.moved(*bytes, waited);
            moved.map_err(|slow| io::Error::new(io::ErrorKind::TimedOut, slow))?;
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Impatient<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judge(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.judge(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // hyper flushes when it has written everything.
        if matches!(flushed, Poll::Ready(Ok(())))
            && let Some(place) = &self.place
        {
            place.flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Impatient<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(place) = &self.place
        {
            place.received();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const LEAST: LeastRate = LeastRate {
        bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    /// Writes without end, while so much is read every second; returns when
    /// the write failed, if it did within two minutes.
    async fn written(bytes_a_second: usize) -> Option<Duration> {
        let (near, mut far) = duplex(64);
        let began = Instant::now();
        let writing = async {
            let mut near = Impatient::around(near, LEAST, None);
            while near.write_all(&[0; 1000]).await.is_ok() {}
            Some(began.elapsed())
        };
        let reading = async {
            let mut bytes = vec![0; bytes_a_second];
            while began.elapsed() < Duration::from_secs(120) {
                sleep(Duration::from_secs(1)).await;
                if far.read_exact(&mut bytes).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
            None
        };
        tokio::select! { failed = writing => failed, fine = reading => fine }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_or_too_little_is_given_up_after_a_window() {
        for bytes_a_second in [0, 1, 90] {
            let failed = written(bytes_a_second).await.expect("given up");
            assert!(
                (LEAST.window..LEAST.window * 2).contains(&failed),
                "{bytes_a_second}: {failed:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_enough_is_not() {
        assert_eq!(written(150).await, None);
    }
}

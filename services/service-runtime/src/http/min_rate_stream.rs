//! A stream to a client that must keep a minimum receive rate.

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

use super::connections::AdmittedConnection;
use crate::min_rate::{MinRate, RateMeter};

/// A stream whose writes fail once the client has accepted nothing, or too little, for a window of the minimum rate. An
/// unread response must not hold a connection, its buffers and the object that is being read for it.
pub(super) struct MinRateStream<S> {
    stream: S,
    min_rate: MinRate,
    meter: RateMeter,
    /// Start of a blocked write, and its deadline.
    blocked_write: Option<(Instant, Pin<Box<Sleep>>)>,
    /// Notified about received and flushed bytes.
    connection: Option<AdmittedConnection>,
}

impl<S> MinRateStream<S> {
    pub(super) const fn new(stream: S, min_rate: MinRate, connection: AdmittedConnection) -> Self {
        Self::with_connection(stream, min_rate, Some(connection))
    }

    const fn with_connection(stream: S, min_rate: MinRate, connection: Option<AdmittedConnection>) -> Self {
        Self {
            stream,
            min_rate,
            meter: RateMeter::new(min_rate),
            blocked_write: None,
            connection,
        }
    }

    /// The result of a write, or an error if the client is too slow.
    fn check_rate(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = written else {
            let window = self.min_rate.window;
            let (_, end) = self
                .blocked_write
                .get_or_insert_with(|| (Instant::now(), Box::pin(sleep(window))));
            ready!(end.as_mut().poll(context));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        };
        let waited = self.blocked_write.take();
        if let Ok(bytes) = &written {
            let waited = waited.map_or(Duration::ZERO, |(since, _)| since.elapsed());
            let moved = self.meter.record(*bytes, waited);
            moved.map_err(|slow| io::Error::new(io::ErrorKind::TimedOut, slow))?;
        }
        Poll::Ready(written)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for MinRateStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.check_rate(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.check_rate(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        // hyper flushes after it has written everything.
        if matches!(flushed, Poll::Ready(Ok(())))
            && let Some(connection) = &self.connection
        {
            connection.record_flushed();
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MinRateStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before
            && let Some(connection) = &self.connection
        {
            connection.record_received();
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const MIN_RATE: MinRate = MinRate {
        bytes_per_second: 100,
        window: Duration::from_secs(10),
    };

    /// Writes without end while `bytes_per_second` are read; returns when the write failed, if it did within
    /// two minutes.
    async fn time_to_failure(bytes_per_second: usize) -> Option<Duration> {
        let (near, mut far) = duplex(64);
        let started = Instant::now();
        let writing = async {
            let mut near = MinRateStream::with_connection(near, MIN_RATE, None);
            while near.write_all(&[0; 1000]).await.is_ok() {}
            Some(started.elapsed())
        };
        let reading = async {
            let mut bytes = vec![0; bytes_per_second];
            while started.elapsed() < Duration::from_secs(120) {
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
    async fn a_reader_below_the_minimum_rate_fails_after_a_window() {
        for bytes_per_second in [0, 1, 90] {
            let failed = time_to_failure(bytes_per_second).await.expect("the write fails");
            assert!(
                (MIN_RATE.window..MIN_RATE.window * 2).contains(&failed),
                "{bytes_per_second}: {failed:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_above_the_minimum_rate_does_not_fail() {
        assert_eq!(time_to_failure(150).await, None);
    }
}

//! The log of a container, as a stream of whole lines.

use std::{mem, pin::Pin, time::Duration};

use futures::{AsyncBufRead, AsyncBufReadExt};
use http::Request;
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube_client::{
    Resource,
    api::{LogParams, Request as Resources},
};
use log_normalizer::{ContainerRef, Time};
use memchr::{memchr, memrchr};
use tokio::time;
use tokio_util::sync::CancellationToken;

use super::{
    Cluster, Error, block_on,
    cluster::{invalid_request, path},
};

/// Longer lines are cut: the maximum content, and the timestamp before it.
pub const MAX_LINE_BYTES: usize = schema::MAX_CONTENT_BYTES + 256;

/// Which lines of a container to read. Each has a timestamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    pub container: ContainerRef,
    /// Lines of the previous start.
    pub previous: bool,
    /// The API server compares whole seconds, so earlier lines of the same second come, too.
    pub since: Option<Time>,
    /// Only the newest lines; None for all.
    pub tail: Option<usize>,
    pub follow: bool,
}

impl LogRequest {
    /// The path of the request, for people.
    #[must_use]
    pub fn path(&self) -> String {
        path(self.to_http().as_ref().ok())
    }

    fn to_http(&self) -> Result<Request<Vec<u8>>, Error> {
        let container = &self.container;
        // kube rounds to seconds. Rounding up would skip lines.
        let seconds = self.since.map(|since| since.nanos().div_euclid(1_000_000_000));
        let parameters = LogParams {
            container: Some(container.container.clone()),
            follow: self.follow,
            previous: self.previous,
            since_time: seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()),
            tail_lines: self.tail.and_then(|tail| i64::try_from(tail).ok()),
            timestamps: true,
            ..LogParams::default()
        };
        Resources::new(Pod::url_path(&(), Some(&container.namespace)))
            .logs(&container.pod, &parameters)
            .map_err(invalid_request)
    }
}

/// An open log, for a thread that may block.
pub struct LogReader {
    response: Pin<Box<dyn AsyncBufRead + Send>>,
    /// The start of the next line.
    partial_line: Vec<u8>,
    cancellation: CancellationToken,
}

impl LogReader {
    /// Requests the log, and waits for the response until the time is over or the request is cancelled.
    ///
    /// # Errors
    /// [`Error::Timeout`], [`Error::Cancelled`], or an error of the cluster.
    pub fn open(
        cluster: &Cluster,
        request: &LogRequest,
        limit: Duration,
        cancellation: CancellationToken,
    ) -> Result<Self, Error> {
        let request = request.to_http()?;
        let response = block_on(within(limit, &cancellation, cluster.open(request)))?;
        Ok(Self {
            response: Box::pin(response),
            partial_line: Vec::new(),
            cancellation,
        })
    }

    /// The next whole lines, as soon as one has arrived; None at the end. A line longer than [`MAX_LINE_BYTES`] may be
    /// cut.
    ///
    /// # Errors
    /// [`Error::Timeout`] if no line arrives in time: call it again to wait longer. [`Error::Cancelled`], or an error of
    /// the connection.
    pub fn next_lines(&mut self, limit: Duration) -> Result<Option<Vec<u8>>, Error> {
        let (response, partial) = (&mut self.response, &mut self.partial_line);
        block_on(within(limit, &self.cancellation, async {
            loop {
                let chunk = response
                    .fill_buf()
                    .await
                    .map_err(|error| Error::from_body(&error))?;
                let length = chunk.len();
                if length == 0 {
                    let last = mem::take(partial);
                    return Ok((!last.is_empty()).then_some(last));
                }
                // Skip the rest of a line that is too long.
                let is_cut = partial.len() > MAX_LINE_BYTES;
                let skipped = if is_cut {
                    memchr(b'\n', chunk).unwrap_or(length)
                } else {
                    0
                };
                let chunk = chunk.get(skipped..).unwrap_or_default();
                let end = memrchr(b'\n', chunk).map_or(0, |end| end + 1);
                let (whole, rest) = chunk.split_at(end);
                partial.extend_from_slice(whole);
                let next = if whole.is_empty() {
                    None
                } else {
                    Some(mem::take(partial))
                };
                partial.extend_from_slice(rest);
                response.as_mut().consume_unpin(length);
                if next.is_some() {
                    return Ok(next);
                }
            }
        }))
    }
}

/// Limits the time of a future, which can also be cancelled.
async fn within<T>(
    limit: Duration,
    cancellation: &CancellationToken,
    future: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::select! {
        biased;
        () = cancellation.cancelled() => Err(Error::Cancelled),
        result = time::timeout(limit, future) => result.unwrap_or(Err(Error::Timeout(limit))),
    }
}

#[cfg(test)]
mod tests {
    use futures::io::{BufReader, Cursor};

    use super::*;

    fn reader(bytes: Vec<u8>, chunk: usize) -> LogReader {
        LogReader {
            response: Box::pin(BufReader::with_capacity(chunk, Cursor::new(bytes))),
            partial_line: Vec::new(),
            cancellation: CancellationToken::new(),
        }
    }

    fn read_all(reader: &mut LogReader) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| reader.next_lines(Duration::from_secs(5)).unwrap()).collect()
    }

    #[test]
    fn lines_are_whole_whatever_the_chunks_are() {
        let text = b"one\ntwo\n\nthree\nunfinished".to_vec();
        for chunk in 1..text.len() + 1 {
            let blocks = read_all(&mut reader(text.clone(), chunk));
            let (last, whole) = blocks.split_last().unwrap();
            assert!(whole.iter().all(|block| block.ends_with(b"\n")), "{blocks:?}");
            assert_eq!(last, b"unfinished");
            assert_eq!(blocks.concat(), text);
        }
    }

    #[test]
    fn long_line_is_cut_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; 3 * MAX_LINE_BYTES];
        text.extend_from_slice(b"\nnext\n");
        let blocks = read_all(&mut reader(text, 64 * 1024)).concat();
        let lines: Vec<&[u8]> = blocks.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines[1..], [b"next".as_slice(), b""]);
        assert!((MAX_LINE_BYTES..MAX_LINE_BYTES + 128 * 1024).contains(&lines[0].len()));
    }

    #[test]
    fn since_is_never_rounded_up() {
        let request = LogRequest {
            container: ContainerRef {
                namespace: "n".to_owned(),
                pod: "p".to_owned(),
                uid: String::new(),
                container: "c".to_owned(),
            },
            previous: false,
            since: Time::parse("2026-11-22T10:00:00.999999999Z"),
            tail: Some(5),
            follow: true,
        };
        assert_eq!(
            request.path(),
            "/api/v1/namespaces/n/pods/p/log?container=c&follow=true&sinceTime=2026-11-22T10%3A00%3A00Z&\
             tailLines=5&timestamps=true"
        );
    }
}

//! The logs of containers. Faults of a pod:
//!
//! - `gone`: the pod does not exist.
//! - `forbidden`
//! - `unread`: the kubelet sends a message instead of lines.
//! - `breaks`: the connection breaks after the lines.
//! - `forgotten`: the lines of the previous start are deleted.

use std::{
    fs,
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write},
    path,
    sync::Arc,
    thread,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Path, Query, State},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use log_normalizer::{Cri, Time};
use serde::Deserialize;
use tokio::sync::mpsc::{self, Sender};

use super::{ApiServerState, OpenStream, pods::text, status};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogQuery {
    container: String,
    timestamps: bool,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    previous: bool,
    since_time: Option<String>,
    tail_lines: Option<usize>,
}

pub async fn log(
    State(cluster): State<Arc<ApiServerState>>,
    Path((namespace, name)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> Response {
    let stream = OpenStream::new(&cluster);
    let pods = cluster.pods().unwrap_or_default();
    let pod = pods
        .iter()
        .find(|pod| text(pod, "/metadata/namespace") == namespace && text(pod, "/metadata/name") == name);
    let fault = pod.map_or("gone", |pod| text(pod, "/metadata/annotations/test~1fault"));
    let (Some(pod), false) = (pod, fault == "gone") else {
        return status(404, "NotFound", &format!("pods \"{name}\" not found"));
    };
    match fault {
        "forbidden" => {
            let message = format!(
                "pods \"{name}\" is forbidden: User \"somebody\" cannot get resource \"pods/log\" in API group \
                 \"\" in the namespace \"{namespace}\""
            );
            return status(403, "Forbidden", &message);
        }
        "unread" => return "unable to retrieve container logs for containerd://1a1543bf".into_response(),
        _ => {}
    }
    let container = &query.container;
    let (folder, mut starts) = cluster.starts(pod, container);
    if query.previous {
        starts.pop();
        if starts.is_empty() || fault == "forgotten" {
            let message =
                format!("previous terminated container \"{container}\" in pod \"{name}\" not found");
            return status(400, "BadRequest", &message);
        }
    }
    let Some(start) = starts.last() else {
        let message =
            format!("container \"{container}\" in pod \"{name}\" is waiting to start: ContainerCreating");
        return status(400, "BadRequest", &message);
    };
    assert!(query.timestamps, "logq asks for timestamps");
    let since = query.since_time.map(|since| Time::parse(&since).unwrap());
    let (file, next) = (
        folder.join(format!("{start}.log")),
        folder.join(format!("{}.log", start + 1)),
    );
    let breaks = fault == "breaks";
    let (sender, mut chunks) = mpsc::channel(4);
    thread::spawn(move || {
        let _stream = stream;
        let until = query.follow.then_some(next);
        let mut out = BufWriter::new(ChunkSender(sender));
        // The client may be gone.
        let _ = send_lines(&file, query.tail_lines, since, until.as_deref(), &mut out);
        let _ = out.flush();
        if breaks {
            let error = io::Error::from(io::ErrorKind::ConnectionReset);
            let _ = out.get_ref().0.blocking_send(Err(error));
        }
    });
    // As with the kubelet, the response begins with the first line.
    let first = chunks.recv().await;
    let rest = stream::poll_fn(move |context| chunks.poll_recv(context));
    Body::from_stream(stream::iter(first).chain(rest)).into_response()
}

/// Sends what is written to it as chunks of a response.
struct ChunkSender(Sender<io::Result<Bytes>>);

impl Write for ChunkSender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let chunk = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.0.is_closed() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        Ok(())
    }
}

/// Like `ReadLogs` in `pkg/kubelet/kuberuntime/logs`: joins the parts of a line, of which only the first has a time,
/// and skips lines in other formats. With a next file, it runs until that exists.
fn send_lines(
    file: &path::Path,
    tail: Option<usize>,
    since: Option<Time>,
    until: Option<&path::Path>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut lines = BufReader::new(fs::File::open(file)?);
    let mut begins = true;
    let mut at = 0;
    if let Some(tail) = tail {
        let count = BufReader::new(fs::File::open(file)?).split(b'\n').count();
        for _ in 0..count.saturating_sub(tail) {
            at += lines.read_until(b'\n', &mut Vec::new())? as u64;
        }
    }
    loop {
        let mut line = Vec::new();
        lines.read_until(b'\n', &mut line)?;
        if line.last() != Some(&b'\n') {
            let Some(until) = until else { return Ok(()) };
            out.flush()?;
            if until.exists() || !file.exists() {
                let mut rest = Vec::new();
                return lines.read_to_end(&mut rest).map(|_| ());
            }
            thread::sleep(Duration::from_millis(5));
            lines.seek(io::SeekFrom::Start(at))?;
            continue;
        }
        at += line.len() as u64;
        line.pop();
        let Some(cri) = Cri::parse(&line) else { continue };
        if since.is_some_and(|since| cri.time < since) {
            continue;
        }
        if begins {
            write!(out, "{} ", cri.time)?;
        }
        out.write_all(cri.content)?;
        begins = !cri.partial;
        if begins {
            out.write_all(b"\n")?;
        }
    }
}

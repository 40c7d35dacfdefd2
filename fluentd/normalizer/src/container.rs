//! Converts one container's log to documents.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use log_normalizer::{ContainerRef, Cri, Document, Metadata, Origin, PodContainer, RawLine, Stream, Time};
use schema::{field, tag};
use serde::{Deserialize, Serialize};

use crate::events::Events;
use crate::joined_stream::{JoinedStream, LineKey, PendingLine, StreamState};

/// How long restored lines wait for the next lines. In that time, Fluentd finds their file again.
const RESTORED_WAIT: Duration = Duration::from_secs(30);

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// The normaliser: [`log_normalizer::normalize`], except in tests of panics.
pub type Normalize = fn(&RawLine<'_>, &Origin) -> Document;

/// Kubernetes' metadata of a pod, as the plugin passes it.
#[derive(Debug, Default, Deserialize)]
struct PodMetadata {
    node: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// The first line of a stored container. Its pending lines follow in the runtime's format.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    path: String,
    metadata: String,
    stdout: Vec<LineKey>,
    stderr: Vec<LineKey>,
}

/// The state of a container after a restart or a rollback: its streams' states.
pub type Snapshot = [StreamState; 2];

/// One container with all its files.
#[derive(Debug)]
pub struct ContainerState {
    /// The path of one of its files.
    path: String,
    /// The last metadata from the plugin.
    metadata: String,
    origin: Origin,
    streams: [JoinedStream; 2],
    /// Whether the state differs from the stored one.
    pub is_changed: bool,
}

impl ContainerState {
    /// A container without pending lines. `node` is this process' node.
    ///
    /// # Errors
    /// When the metadata is not JSON of a pod.
    pub fn new(path: &str, metadata: &str, node: Option<&str>) -> Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            metadata: metadata.to_owned(),
            origin: origin(path, metadata, node)?,
            streams: Default::default(),
            is_changed: false,
        })
    }

    /// Replaces the pod's metadata.
    pub fn set_metadata(&mut self, metadata: &str, node: Option<&str>) -> Result<()> {
        if self.metadata != metadata {
            self.origin = origin(&self.path, metadata, node)?;
            metadata.clone_into(&mut self.metadata);
        }
        Ok(())
    }

    /// Whether there is nothing to store.
    pub fn is_idle(&self) -> bool {
        self.streams.iter().all(JoinedStream::is_idle)
    }

    pub fn snapshot(&self) -> Snapshot {
        self.streams.each_ref().map(|stream| stream.state().clone())
    }

    pub fn restore(&mut self, snapshot: Snapshot, now: Duration) {
        let [stdout, stderr] = snapshot;
        self.streams = [
            JoinedStream::restore(stdout, Stream::Stdout, now),
            JoinedStream::restore(stderr, Stream::Stderr, now),
        ];
    }

    /// Takes a line of one of the container's files.
    pub fn push(&mut self, line: &[u8], now: Duration, normalize: Normalize, events: &mut Events) {
        let Self {
            origin,
            streams,
            is_changed,
            ..
        } = self;
        let pushed = panic::catch_unwind(AssertUnwindSafe(|| match Cri::parse(line) {
            Some(cri) => {
                let changed = streams[index(cri.stream)].push(&cri, now, &mut |line| {
                    add(&line, origin, normalize, events);
                });
                *is_changed |= changed;
            }
            None => add(
                &RawLine::unmatched(line, Some(events.time()), 0),
                origin,
                normalize,
                events,
            ),
        }));
        let Err(panic) = pushed else { return };
        // The joiner's state is unknown, so all pending lines become text.
        events.panics.push(message(&*panic));
        *is_changed = true;
        for (stream, joined) in STREAMS.into_iter().zip(streams) {
            let state = std::mem::take(joined).into_state();
            for PendingLine { time, content, .. } in &state.lines {
                let cri = Cri {
                    time: *time,
                    stream,
                    partial: false,
                    content,
                };
                events.add(&text_document(&RawLine::cri(&cri, 0), origin));
            }
        }
        events.add(&text_document(
            &RawLine::unmatched(line, Some(events.time()), 0),
            origin,
        ));
    }

    /// Passes on lines that have waited too long.
    pub fn expire(&mut self, now: Duration, normalize: Normalize, events: &mut Events) {
        for stream in &mut self.streams {
            let changed = stream.expire(now, &mut |line| add(&line, &self.origin, normalize, events));
            self.is_changed |= changed;
        }
    }

    /// Ends a batch of lines that were read together.
    pub fn end_batch(&mut self) {
        for stream in &mut self.streams {
            self.is_changed |= stream.end_batch();
        }
    }

    /// The container as a file: a header, then the pending lines in the runtime's format. Lines end in CR LF, because the
    /// parser treats a carriage return as part of the end.
    ///
    /// # Errors
    /// When the header cannot be written as JSON.
    pub fn to_file(&self) -> Result<Vec<u8>> {
        let [stdout, stderr] = self.streams.each_ref().map(JoinedStream::state);
        let header = Header {
            path: self.path.clone(),
            metadata: self.metadata.clone(),
            stdout: stdout.keys.iter().copied().collect(),
            stderr: stderr.keys.iter().copied().collect(),
        };
        let mut file = serde_json::to_vec(&header)?;
        file.push(b'\n');
        for (stream, state) in STREAMS.into_iter().zip([stdout, stderr]) {
            for PendingLine {
                time,
                partial,
                content,
            } in &state.lines
            {
                let tag = if *partial { 'P' } else { 'F' };
                file.extend_from_slice(format!("{time} {stream} {tag} ").as_bytes());
                file.extend_from_slice(content);
                file.extend_from_slice(b"\r\n");
            }
        }
        Ok(file)
    }

    /// Parses a file that [`Self::to_file`] wrote.
    ///
    /// # Errors
    /// When the file is damaged, because the machine went down while it was written.
    pub fn from_file(file: &[u8], node: Option<&str>, now: Duration) -> Result<Self> {
        ensure!(file.ends_with(b"\n"), "the file is incomplete");
        let mut lines = file.split(|byte| *byte == b'\n');
        let header: Header = serde_json::from_slice(lines.next().unwrap_or_default())?;
        let mut container = Self::new(&header.path, &header.metadata, node)?;
        let mut states = [header.stdout, header.stderr].map(|keys| StreamState {
            lines: Vec::new(),
            keys: keys.into_iter().collect(),
        });
        for line in lines.filter(|line| !line.is_empty()) {
            let cri = Cri::parse(line).context("a pending line is not the runtime's")?;
            states[index(cri.stream)].lines.push(PendingLine {
                time: cri.time,
                partial: cri.partial,
                content: cri.content.to_vec(),
            });
        }
        container.restore(states, now + RESTORED_WAIT);
        Ok(container)
    }

    /// Identifies the container of a file.
    pub fn key(path: &str) -> &str {
        let file = Path::new(path);
        match (
            ContainerRef::from_log_path(file),
            file.parent().and_then(Path::to_str),
        ) {
            (Some(_), Some(folder)) => folder,
            _ => path,
        }
    }

    pub fn path(&self) -> &str {
        &self.path
    }
}

const fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}

fn origin(path: &str, metadata: &str, node: Option<&str>) -> Result<Origin> {
    let Some(container) = ContainerRef::from_log_path(Path::new(path)) else {
        return Ok(Origin::Source(path.to_owned()));
    };
    let pod: PodMetadata = if metadata.is_empty() {
        PodMetadata::default()
    } else {
        serde_json::from_str(metadata).context("cannot read the pod's metadata")?
    };
    let metadata = Metadata {
        node: pod.node.or_else(|| node.map(ToOwned::to_owned)),
        labels: pod.labels,
        ..Metadata::default()
    };
    Ok(Origin::Pod(PodContainer::new(container, &metadata)))
}

/// Adds a line's document; text if the normaliser panics.
fn add(line: &RawLine<'_>, origin: &Origin, normalize: Normalize, events: &mut Events) {
    let timed;
    let line = match (origin, line.time) {
        // The id needs an offset, which Fluentd does not pass. The runtime's time is as unique.
        (Origin::Source(_), Some(time)) if !line.unmatched => {
            timed = RawLine {
                offset: time.nanos().unsigned_abs(),
                ..line.clone()
            };
            &timed
        }
        _ => line,
    };
    match panic::catch_unwind(|| normalize(line, origin)) {
        Ok(document) => events.add(&document),
        Err(panic) => {
            events.panics.push(message(&*panic));
            events.add(&text_document(line, origin));
        }
    }
}

/// A line's document as plain text, whatever its format.
fn text_document(line: &RawLine<'_>, origin: &Origin) -> Document {
    let unmatched = RawLine {
        unmatched: true,
        ..line.clone()
    };
    let mut members = log_normalizer::normalize(&unmatched, origin).into_members();
    if line.unmatched {
        return members.into();
    }
    // Equal lines of different times need different ids.
    let time = line.time.map_or(0, Time::nanos);
    let (object, id) = field::EVENT_ID.split_once('.').unwrap_or_default();
    if let Some(id) = members.get_mut(object).and_then(|event| event.get_mut(id)) {
        *id = format!("{}-{time}", id.as_str().unwrap_or_default()).into();
    }
    if let Some(tags) = members.get_mut(field::TAGS).and_then(|tags| tags.as_array_mut()) {
        tags.retain(|name| *name != tag::UNMATCHED_CRI);
    }
    members.into()
}

pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

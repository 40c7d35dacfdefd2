//! Encodes documents as Fluentd events.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use log_normalizer::{Document, Time};
use rmp::encode::{self, ValueWriteError};

/// Members of an event's record.
const ID: &str = "id";
const JSON: &str = "json";

/// Fluentd's extension type `EventTime`: seconds and nanoseconds, 32 bits each.
const EVENT_TIME: i8 = 0;

/// Size of an event stream in bytes, unless one event is larger. It must stay below the chunk limit of the buffer: Fluentd's
/// buffer closes chunks in use when it splits an event stream (fluentd#4446).
const MAX_STREAM_BYTES: usize = 128 * 1024;

#[derive(Debug, Default)]
struct EventStream {
    count: u32,
    /// Fluentd's event stream: MessagePack of `[time, {"id": …, "json": …}]` for each event.
    bytes: Vec<u8>,
}

/// The response of a call.
#[derive(Debug)]
pub struct Events {
    time: Time,
    /// By the documents' stream.
    streams: BTreeMap<&'static str, Vec<EventStream>>,
    /// Messages of panics. For each, lines were stored as text.
    pub panics: Vec<String>,
    /// Lines that are not documents.
    pub rejected: Vec<String>,
    /// Scratch space.
    json: Vec<u8>,
}

impl Events {
    pub fn new() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            time: Time::from_nanos(i64::try_from(since_1970.as_nanos()).unwrap_or(i64::MAX)),
            streams: BTreeMap::new(),
            panics: Vec::new(),
            rejected: Vec::new(),
            json: Vec::new(),
        }
    }

    /// The time of reading.
    pub const fn time(&self) -> Time {
        self.time
    }

    /// Adds a document to the stream of its component.
    pub fn add(&mut self, document: &Document) {
        self.add_to(document.stream(), document);
    }

    pub fn add_to(&mut self, stream: &'static str, document: &Document) {
        self.json.clear();
        // Neither writing text keys nor writing into memory fails.
        if serde_json::to_writer(&mut self.json, document.members()).is_err() {
            return;
        }
        let parts = self.streams.entry(stream).or_default();
        let has_room = |part: &EventStream| part.bytes.len() + self.json.len() <= MAX_STREAM_BYTES;
        if !parts.last().is_some_and(has_room) {
            parts.push(EventStream::default());
        }
        if let Some(part) = parts.last_mut() {
            let id = document.id().unwrap_or_default();
            if write_event(&mut part.bytes, self.time, id, &self.json).is_ok() {
                part.count += 1;
            }
        }
    }

    /// Writes `{"events": [[stream, count, event stream]], "panics": […], "rejected": […]}` as MessagePack.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), ValueWriteError> {
        encode::write_map_len(out, 3)?;
        encode::write_str(out, "events")?;
        encode::write_array_len(out, length(self.streams.values().map(Vec::len).sum()))?;
        for (stream, parts) in &self.streams {
            for part in parts {
                encode::write_array_len(out, 3)?;
                encode::write_str(out, stream)?;
                encode::write_uint(out, part.count.into())?;
                encode::write_bin(out, &part.bytes)?;
            }
        }
        for (name, texts) in [("panics", &self.panics), ("rejected", &self.rejected)] {
            encode::write_str(out, name)?;
            encode::write_array_len(out, length(texts.len()))?;
            for text in texts {
                encode::write_str(out, text)?;
            }
        }
        Ok(())
    }
}

fn length(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

fn write_event(out: &mut Vec<u8>, time: Time, id: &str, json: &[u8]) -> Result<(), ValueWriteError> {
    encode::write_array_len(out, 2)?;
    encode::write_ext_meta(out, 8, EVENT_TIME)?;
    let nanos = u64::try_from(time.nanos()).unwrap_or(0);
    for part in [nanos / 1_000_000_000, nanos % 1_000_000_000] {
        out.extend_from_slice(&u32::try_from(part).unwrap_or(u32::MAX).to_be_bytes());
    }
    encode::write_map_len(out, 2)?;
    encode::write_str(out, ID)?;
    encode::write_str(out, id)?;
    encode::write_str(out, JSON)?;
    encode::write_str_len(out, length(json.len()))?;
    out.extend_from_slice(json);
    Ok(())
}

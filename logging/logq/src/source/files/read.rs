//! One source, line by line.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use flate2::bufread::MultiGzDecoder;
use line::{Cri, Joiner, Line, Origin, Time, normalize, timestamped};
use schema::MAX_CONTENT_BYTES;

use super::{Container, Entry, FileError, Found, Plain};

/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 256 * 1024;

/// More of a line is never kept: the content that a line may have, with what
/// the kubelet puts before it.
const MAX_LINE_BYTES: usize = MAX_CONTENT_BYTES + 256;

/// The first bytes of a gzip stream (RFC 1952, 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";
/// The first bytes of a Zstandard frame (RFC 8878, 3.1.1).
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";

/// Reads the lines of one container or one file, in their order.
pub struct Reader {
    origin: Origin,
    /// Whether what is no line of the kubelet's is one that it did not write.
    kubelet: bool,
    files: VecDeque<Option<PathBuf>>,
    open: Option<Open>,
    joiner: Joiner,
    ready: VecDeque<Entry>,
}

struct Open {
    name: PathBuf,
    input: Box<dyn BufRead + Send>,
    offset: u64,
    /// When the file was written last: the time of lines that have none.
    changed: Option<Time>,
}

impl Reader {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(found: Found) -> Self {
        let (origin, kubelet, files) = match found {
            Found::Container(Container { origin, files }) => {
                (origin, true, files.into_iter().map(Some).collect())
            }
            Found::Plain(Plain { file }) => {
                let name = file.as_deref().unwrap_or(Path::new("-")).display().to_string();
                (Origin::Source(name), false, VecDeque::from([file]))
            }
        };
        Self {
            origin,
            kubelet,
            files,
            open: None,
            joiner: Joiner::new(),
            ready: VecDeque::new(),
        }
    }

    /// Reads on until something is ready; false at the end.
    fn fill(&mut self) -> Result<bool, FileError> {
        let mut buffer = Vec::new();
        while self.ready.is_empty() {
            let Some(open) = &mut self.open else {
                let Some(file) = self.files.pop_front() else {
                    let (origin, ready) = (&self.origin, &mut self.ready);
                    self.joiner
                        .flush(&mut |line| ready.push_back(entry(&line, origin)));
                    return Ok(!self.ready.is_empty());
                };
                self.open = Some(Open::new(file)?);
                continue;
            };
            let at = open.offset;
            buffer.clear();
            let read = read_line(&mut open.input, &mut buffer).map_err(FileError::io(&open.name))?;
            if read == 0 {
                self.open = None;
                continue;
            }
            open.offset += read;
            let changed = open.changed;
            let (origin, ready) = (&self.origin, &mut self.ready);
            let mut take = |line: Line<'_>| ready.push_back(entry(&line, origin));
            if let Some(cri) = Cri::parse(&buffer) {
                self.joiner
                    .push(Line::cri(&cri, at), cri.partial, Duration::ZERO, &mut take);
            } else if buffer.iter().all(u8::is_ascii_whitespace) && !self.kubelet {
                // A blank line says nothing, but it can stand within a stack trace.
                self.joiner
                    .push(Line::plain(&buffer, at), false, Duration::ZERO, &mut |line| {
                        if line.content.iter().any(|byte| !byte.is_ascii_whitespace()) {
                            take(line);
                        }
                    });
            } else if self.kubelet {
                if !buffer.is_empty() {
                    take(Line::unmatched(&buffer, changed, at));
                }
            } else if let Some((time, content)) = timestamped(&buffer) {
                let mut line = Line::plain(content, at);
                line.time = Some(time);
                self.joiner.push(line, false, Duration::ZERO, &mut take);
            } else {
                self.joiner
                    .push(Line::plain(&buffer, at), false, Duration::ZERO, &mut take);
            }
        }
        Ok(true)
    }
}

impl Iterator for Reader {
    type Item = Result<Entry, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.fill() {
            Ok(_) => self.ready.pop_front().map(Ok),
            Err(error) => {
                // Nothing more can be said of this source.
                self.files.clear();
                self.open = None;
                Some(Err(error))
            }
        }
    }
}

impl Open {
    fn new(file: Option<PathBuf>) -> Result<Self, FileError> {
        let Some(path) = file else {
            return Self::reading(PathBuf::from("standard input"), io::stdin(), None);
        };
        let file = File::open(&path).map_err(FileError::io(&path))?;
        let changed = file.metadata().and_then(|data| data.modified()).ok();
        let nanos = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let changed = nanos
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .map(Time::from_nanos);
        Self::reading(path, file, changed)
    }

    /// What is compressed is told by its first bytes, not by its name.
    fn reading(
        name: PathBuf,
        input: impl Read + Send + 'static,
        changed: Option<Time>,
    ) -> Result<Self, FileError> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let begin = input.fill_buf().map_err(FileError::io(&name))?;
        let input: Box<dyn BufRead + Send> = if begin.starts_with(GZIP) {
            Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(input)))
        } else if begin.starts_with(ZSTANDARD) {
            let decoder = zstd::Decoder::with_buffer(input).map_err(FileError::io(&name))?;
            Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
        } else {
            Box::new(input)
        };
        Ok(Self {
            name,
            input,
            offset: 0,
            changed,
        })
    }
}

fn entry(line: &Line<'_>, origin: &Origin) -> Entry {
    Entry {
        document: normalize(line, origin),
        raw: Some(line.content.to_vec()),
    }
}

/// Reads up to a newline, which is not kept; keeps at most [`MAX_LINE_BYTES`].
/// Returns how many bytes were read; 0 at the end.
fn read_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<u64> {
    let mut read = 0_u64;
    loop {
        let available = match input.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', available);
        let content = available
            .get(..end.unwrap_or(available.len()))
            .unwrap_or_default();
        let room = MAX_LINE_BYTES.saturating_sub(line.len());
        line.extend_from_slice(content.get(..room).unwrap_or(content));
        let used = end.map_or(available.len(), |end| end + 1);
        input.consume(used);
        read += used as u64;
        if end.is_some() || used == 0 {
            return Ok(read);
        }
    }
}

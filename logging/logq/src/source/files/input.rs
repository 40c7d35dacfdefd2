//! Opens and decompresses a file or standard input.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use log_normalizer::Time;

use super::FileError;

const BUFFER_BYTES: usize = 256 * 1024;

/// The magic number of gzip (RFC 1952, 2.3.1).
const GZIP: &[u8] = b"\x1f\x8b";
/// The magic number of Zstandard (RFC 8878, 3.1.1).
const ZSTANDARD: &[u8] = b"\x28\xb5\x2f\xfd";

/// An open input.
pub struct Input {
    pub name: PathBuf,
    pub bytes: Box<dyn Read + Send>,
    /// When the file was last modified: the time of lines without one.
    pub changed: Option<Time>,
    /// Whether more data may arrive: do not wait for a full block.
    pub is_live: bool,
}

impl Input {
    /// None for standard input.
    pub fn open(path: Option<&Path>) -> Result<Self, FileError> {
        let Some(path) = path else {
            return Self::from_reader(PathBuf::from("standard input"), io::stdin(), None, true);
        };
        let file = File::open(path).map_err(FileError::io(path))?;
        let data = file.metadata().ok();
        let is_live = data.as_ref().is_some_and(|data| !data.is_file());
        let changed = data.and_then(|data| data.modified().ok());
        let nanos = changed.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
        let changed = nanos
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .map(Time::from_nanos);
        Self::from_reader(path.to_owned(), file, changed, is_live)
    }

    /// Detects compression by content, not by name.
    fn from_reader(
        name: PathBuf,
        input: impl Read + Send + 'static,
        changed: Option<Time>,
        is_live: bool,
    ) -> Result<Self, FileError> {
        let mut input = BufReader::with_capacity(BUFFER_BYTES, input);
        let begin = input.fill_buf().map_err(FileError::io(&name))?;
        let bytes: Box<dyn Read + Send> = if begin.starts_with(GZIP) {
            Box::new(MultiGzDecoder::new(input))
        } else if begin.starts_with(ZSTANDARD) {
            Box::new(zstd::Decoder::with_buffer(input).map_err(FileError::io(&name))?)
        } else {
            Box::new(input)
        };
        Ok(Self {
            name,
            bytes,
            changed,
            is_live,
        })
    }
}

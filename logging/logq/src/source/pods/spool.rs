//! Stores the lines of a container until others are read.

use std::{
    io::{self, BufReader, BufWriter, Read, Seek, Write},
    vec,
};

use log_normalizer::Document;
use tempfile::SpooledTempFile;

use super::{Error, LogStream, PodProblem, containers::LogContainer};
use crate::entry::Entry;

/// Bytes in memory; more go to a temporary file.
const MEMORY_BYTES: usize = 256 * 1024;

const BUFFER_BYTES: usize = 64 * 1024;

/// Each part starts with its length. This length marks a line without its original.
const NO_RAW: u32 = u32::MAX;

/// The stored lines of a container.
pub struct Spool {
    container: LogContainer,
    errors: vec::IntoIter<Error>,
    lines: BufReader<SpooledTempFile>,
    remaining: u64,
}

impl Spool {
    /// Reads a stream completely.
    pub fn from_stream(container: LogContainer, stream: LogStream) -> Self {
        let mut errors = Vec::new();
        let mut remaining = 0;
        let mut file = BufWriter::with_capacity(BUFFER_BYTES, SpooledTempFile::new(MEMORY_BYTES));
        for entry in stream {
            let written = match entry {
                Ok(entry) => write(&entry, &mut file),
                Err(error) => {
                    errors.push(error);
                    continue;
                }
            };
            if let Err(error) = written {
                errors.push(spool_error(&container, &error));
                break;
            }
            remaining += 1;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        let file = file.and_then(|mut file| file.rewind().map(|()| file));
        let file = file.unwrap_or_else(|error| {
            errors.push(spool_error(&container, &error));
            remaining = 0;
            SpooledTempFile::new(MEMORY_BYTES)
        });
        Self {
            container,
            errors: errors.into_iter(),
            lines: BufReader::with_capacity(BUFFER_BYTES, file),
            remaining,
        }
    }

    fn read(&mut self) -> io::Result<Entry> {
        let document = self.read_part()?.unwrap_or_default();
        let document = Document::from_json(&document).map_err(io::Error::other)?;
        let raw = self.read_part()?;
        Ok(Entry { document, raw })
    }

    fn read_part(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut length = [0; 4];
        self.lines.read_exact(&mut length)?;
        let length = u32::from_le_bytes(length);
        if length == NO_RAW {
            return Ok(None);
        }
        let mut bytes = vec![0; length as usize];
        self.lines.read_exact(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl Iterator for Spool {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.errors.next() {
            return Some(Err(error));
        }
        self.remaining = self.remaining.checked_sub(1)?;
        Some(self.read().map_err(|error| {
            self.remaining = 0;
            spool_error(&self.container, &error)
        }))
    }
}

fn spool_error(container: &LogContainer, error: &io::Error) -> Error {
    let problem = PodProblem::Failed(format!("cannot buffer its lines: {error}"));
    Error::logs(container, problem)
}

fn write(entry: &Entry, out: &mut impl Write) -> io::Result<()> {
    write_part(Some(entry.document.to_json().as_bytes()), out)?;
    write_part(entry.raw.as_deref(), out)
}

fn write_part(bytes: Option<&[u8]>, out: &mut impl Write) -> io::Result<()> {
    let Some(bytes) = bytes else {
        return out.write_all(&NO_RAW.to_le_bytes());
    };
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(bytes)
}

//! Saved read positions of files.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use flate2::Crc;
use serde_json::{Value, json};

use crate::source::files::folder::FileId;

/// Maximum size of the checkpoint file, enough for 200,000 files. A longer file is not a checkpoint.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Number of leading bytes that identify a file.
const PREFIX_BYTES: u64 = 1024;

/// A checksum of the start of a file, which does not change while lines are appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    length: u64,
    checksum: u32,
}

impl Prefix {
    /// The longest prefix for this size.
    pub(super) fn read(file: &File, size: u64) -> io::Result<Self> {
        Self::read_prefix(file, size.min(PREFIX_BYTES))
    }

    fn read_prefix(file: &File, length: u64) -> io::Result<Self> {
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        file.read_exact_at(&mut bytes, 0)?;
        let mut checksum = Crc::new();
        checksum.update(&bytes);
        Ok(Self {
            length,
            checksum: checksum.sum(),
        })
    }

    /// Whether the file still has this prefix.
    pub(super) fn matches(self, file: &File, size: u64) -> io::Result<bool> {
        Ok(self.length <= size && Self::read_prefix(file, self.length)? == self)
    }

    /// Whether a longer prefix is possible.
    pub(super) const fn is_short(self) -> bool {
        self.length < PREFIX_BYTES
    }
}

/// The read position of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePosition {
    /// The file name in its lines.
    pub(super) name: String,
    pub(super) prefix: Prefix,
    /// Byte offset of the first line that was not delivered.
    pub(super) offset: u64,
}

/// The read positions of all files. A process that starts there misses no line, but may repeat some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub(super) BTreeMap<FileId, FilePosition>);

impl Positions {
    /// Reads a checkpoint; empty if the file does not exist.
    ///
    /// # Errors
    /// An I/O error, or an invalid checkpoint.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(data) if data.len() > MAX_FILE_BYTES => {
                let reason = format!(
                    "it is larger than {} MiB, so it is not a positions file",
                    MAX_FILE_BYTES >> 20
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            Ok(data) if data.is_file() => {}
            Ok(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "it is not a regular file",
                ));
            }
        }
        let text = fs::read(path)?;
        let value: Value = serde_json::from_slice(&text)?;
        let files = value.get("files").and_then(Value::as_array);
        files
            .and_then(|files| files.iter().map(parse_position).collect::<Option<_>>())
            .map(Self)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it is not a positions file"))
    }

    /// Writes a checkpoint atomically.
    ///
    /// # Errors
    /// An I/O error.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let files: Vec<Value> = self
            .0
            .iter()
            .map(|(id, position)| {
                json!({
                    "device": id.device, "inode": id.inode, "name": position.name, "offset": position.offset,
                    "prefix": { "length": position.prefix.length, "crc32": position.prefix.checksum },
                })
            })
            .collect();
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&name)?;
        writeln!(file, "{}", json!({ "files": files }))?;
        fs::rename(name, path)
    }
}

fn parse_position(value: &Value) -> Option<(FileId, FilePosition)> {
    let number = |pointer: &str| value.pointer(pointer)?.as_u64();
    let id = FileId {
        device: number("/device")?,
        inode: number("/inode")?,
    };
    let position = FilePosition {
        name: value.get("name")?.as_str()?.to_owned(),
        offset: number("/offset")?,
        prefix: Prefix {
            length: number("/prefix/length")?,
            checksum: u32::try_from(number("/prefix/crc32")?).ok()?,
        },
    };
    Some((id, position))
}

//! How far files were read, and how that is kept.

use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use flate2::Crc;
use serde_json::{Value, json};

/// Most that positions take: a line each of some 200,000 files. What is longer was not written here.
const MAX_FILE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of a file's beginning by which it is known again.
const PREFIX_BYTES: u64 = 1024;

/// Which file is meant, whatever it is called now. A number that is given to another file later: see [`Prefix`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(in crate::source::files) fn from_metadata(data: &Metadata) -> Self {
        Self {
            device: data.dev(),
            inode: data.ino(),
        }
    }
}

/// What a file begins with: bytes that do not change while lines are only added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    length: u64,
    checksum: u32,
}

impl Prefix {
    /// The longest that a file of this size has.
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

    /// Whether the file still begins so.
    pub(super) fn matches(self, file: &File, size: u64) -> io::Result<bool> {
        Ok(self.length <= size && Self::read_prefix(file, self.length)? == self)
    }

    /// Whether more of the file could be known.
    pub(super) const fn is_short(self) -> bool {
        self.length < PREFIX_BYTES
    }
}

/// How far one file was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// What its lines are called after.
    pub(super) name: String,
    pub(super) prefix: Prefix,
    /// Where the first line begins that is still to be given out, bytes.
    pub(super) offset: u64,
}

/// How far files were read. Whoever begins there gets every line that was not given out before, and perhaps a few that were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub(super) BTreeMap<FileId, Position>);

impl Positions {
    /// What [`Self::write`] has written; nothing where there is no such file.
    ///
    /// # Errors
    /// The system's, and for a file that does not hold positions.
    pub fn read(path: &Path) -> io::Result<Self> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(data) if data.len() > MAX_FILE_BYTES => {
                let reason = format!(
                    "it is longer than {} MiB: it does not hold positions",
                    MAX_FILE_BYTES >> 20
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
            }
            Ok(data) if data.is_file() => {}
            Ok(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file")),
        }
        let text = fs::read(path)?;
        let value: Value = serde_json::from_slice(&text)?;
        let files = value.get("files").and_then(Value::as_array);
        files
            .and_then(|files| files.iter().map(parse_position).collect::<Option<_>>())
            .map(Self)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it does not hold positions"))
    }

    /// Writes them whole or not at all: who reads gets the old ones or these.
    ///
    /// # Errors
    /// The system's.
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

fn parse_position(value: &Value) -> Option<(FileId, Position)> {
    let number = |pointer: &str| value.pointer(pointer)?.as_u64();
    let id = FileId {
        device: number("/device")?,
        inode: number("/inode")?,
    };
    let position = Position {
        name: value.get("name")?.as_str()?.to_owned(),
        offset: number("/offset")?,
        prefix: Prefix {
            length: number("/prefix/length")?,
            checksum: u32::try_from(number("/prefix/crc32")?).ok()?,
        },
    };
    Some((id, position))
}

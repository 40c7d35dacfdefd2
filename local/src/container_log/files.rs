//! The log files of a container, in the format of kubelet and containerd.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Log files of this many container starts stay.
const MAX_STARTS: u32 = 5;

/// The kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Size at which a file is rotated.
    pub bytes: u64,
    /// Files of one start, the current file included.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 10 * 1024 * 1024,
            files: 5,
        }
    }
}

/// The output stream of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// The log files of one container.
#[derive(Debug)]
pub struct LogFiles {
    directory: PathBuf,
    limits: Limits,
    /// Number of earlier starts of the container.
    start: u32,
    file: File,
    size: u64,
    /// Time of the last line, nanoseconds since 1970. It is unique, so that lines with the same text stay distinct.
    last_time: i64,
    /// Time of the last rotation, seconds since 1970.
    last_rotation: i64,
    /// Lines that could not be written since the last successful write.
    lost: u64,
    /// Whether the file ends with an incomplete line.
    torn: bool,
}

impl LogFiles {
    /// Creates the next file of a container: `0.log`, or `1.log` after a restart.
    ///
    /// # Errors
    /// The operating system's.
    pub fn create(directory: &Path, limits: Limits) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut starts = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            starts.extend(start_number(&entry?.path()));
        }
        let start = starts.last().map_or(0, |last| last + 1);
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if start_number(&path).is_some_and(|old| old + MAX_STARTS <= start) {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            file: open(directory, start)?,
            directory: directory.to_owned(),
            limits,
            start,
            size: 0,
            last_time: 0,
            last_rotation: 0,
            lost: 0,
            torn: false,
        })
    }

    /// Writes lines and parts of lines; true marks a part. Like containerd, it drops and counts lines that cannot be written:
    /// a full disk must not block the program. It writes the count with the next successful write.
    pub fn write(&mut self, stream: Stream, lines: &[(&[u8], bool)]) {
        let mut text = Vec::with_capacity(lines.iter().map(|(line, _)| line.len() + 48).sum());
        if self.torn {
            text.push(b'\n');
        }
        if self.lost > 0 {
            let notice = format!("log-writer: {} lines could not be written", self.lost);
            self.push_entry(&mut text, Stream::Stderr, notice.as_bytes(), false);
        }
        for (line, partial) in lines {
            self.push_entry(&mut text, stream, line, *partial);
        }
        match self.append(&text) {
            Ok(()) => (self.lost, self.torn) = (0, false),
            Err(error) => {
                if self.lost == 0 {
                    print_write_error(&self.directory, &error);
                }
                self.lost += lines.len() as u64;
            }
        }
        if self.size >= self.limits.bytes
            && let Err(error) = self.rotate()
        {
            print_write_error(&self.directory, &error);
            // Delays the next attempt.
            self.size = self.limits.bytes / 2;
        }
    }

    /// Adds `<time> <stream> <P|F> <content>`.
    fn push_entry(&mut self, text: &mut Vec<u8>, stream: Stream, content: &[u8], partial: bool) {
        let now = Utc::now().timestamp_nanos_opt().unwrap_or_default();
        self.last_time = now.max(self.last_time + 1);
        let time = DateTime::from_timestamp_nanos(self.last_time).to_rfc3339_opts(SecondsFormat::Nanos, true);
        let tag = if partial { 'P' } else { 'F' };
        text.extend_from_slice(format!("{time} {} {tag} ", stream.name()).as_bytes());
        text.extend_from_slice(content);
        text.push(b'\n');
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            match self.file.write(rest) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += written as u64;
                    rest = rest.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let written = text.len() - rest.len();
                    if let Some(last) = written.checked_sub(1) {
                        self.torn = text.get(last) != Some(&b'\n');
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Renames the file to `0.log.YYYYmmdd-HHMMSS`, creates a new one, and removes the oldest.
    fn rotate(&mut self) -> io::Result<()> {
        // Two rotations within a second need different names.
        self.last_rotation = Utc::now().timestamp().max(self.last_rotation + 1);
        let stamp = DateTime::from_timestamp(self.last_rotation, 0)
            .unwrap_or_default()
            .format("%Y%m%d-%H%M%S");
        let name = format!("{}.log", self.start);
        let old = self.directory.join(format!("{name}.{stamp}"));
        fs::rename(self.directory.join(&name), old)?;
        self.file = open(&self.directory, self.start)?;
        self.size = 0;
        let mut rotated = BTreeSet::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            let is_rotated = path.file_name().is_some_and(|file| {
                file.to_string_lossy()
                    .strip_prefix(&name)
                    .is_some_and(|rest| rest.len() > 1)
            });
            if is_rotated {
                rotated.insert(path);
            }
        }
        let max_rotated = self.limits.files.saturating_sub(1);
        for path in rotated.iter().take(rotated.len().saturating_sub(max_rotated)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn print_write_error(directory: &Path, error: &io::Error) {
    // If this fails too, the log still gets the count of lost lines.
    let _ = writeln!(
        io::stderr(),
        "log-writer: {}: {error}; lines are dropped until writing works again",
        directory.display()
    );
}

fn open(directory: &Path, start: u32) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(directory.join(format!("{start}.log")))
}

/// The number before `.log` in the file name.
fn start_number(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (start, rest) = name.split_once('.')?;
    rest.starts_with("log").then(|| start.parse().ok()).flatten()
}

/// Creates a named pipe for a program that can only log to a file. An existing pipe is used again.
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    match nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The output of a container since its latest start: its lines without the log's prefixes.
pub(crate) fn read_output(directory: &Path) -> Vec<u8> {
    let mut files: Vec<(u32, bool, PathBuf)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let is_current = path.extension().is_some_and(|extension| extension == "log");
            Some((start_number(&path)?, is_current, path))
        })
        .collect();
    files.sort();
    let latest = files.last().map(|(start, ..)| *start);
    let mut text = Vec::new();
    for (_, _, path) in files.into_iter().filter(|(start, ..)| Some(*start) == latest) {
        for line in fs::read(path).unwrap_or_default().split(|byte| *byte == b'\n') {
            let mut words = line.splitn(4, |byte| *byte == b' ').skip(2);
            let (Some(tag), Some(content)) = (words.next(), words.next()) else {
                continue;
            };
            text.extend_from_slice(content);
            if tag == b"F" {
                text.push(b'\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(directory: &Path) -> Vec<String> {
        let names = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn read(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_have_the_kubelets_format() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFiles::create(folder.path(), Limits::default()).unwrap();
        log.write(Stream::Stdout, &[(b"one", false), (b"", false)]);
        log.write(Stream::Stderr, &[(b"tw", true), (b"o", false)]);
        let lines = read(&folder.path().join("0.log"));
        let (times, rest): (Vec<&str>, Vec<&str>) =
            lines.iter().map(|line| line.split_once(' ').unwrap()).unzip();
        assert_eq!(rest, ["stdout F one", "stdout F ", "stderr P tw", "stderr F o"]);
        assert!(
            times.is_sorted_by(|a, b| a < b),
            "times must be unique and increasing: {times:?}"
        );
        assert!(times.iter().all(|time| time.len() == 30 && time.ends_with('Z')));
        assert_eq!(read_output(folder.path()), b"one\n\ntwo\n");
    }

    #[test]
    fn files_rotate_and_the_oldest_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits { bytes: 100, files: 3 };
        let mut log = LogFiles::create(folder.path(), limits).unwrap();
        for number in 0..10 {
            log.write(
                Stream::Stdout,
                &[(format!("line {number} {}", "x".repeat(50)).as_bytes(), false)],
            );
        }
        let names = files(folder.path());
        assert_eq!(names.len(), 3, "{names:?}");
        assert_eq!(names[0], "0.log");
        assert!(
            names[1..]
                .iter()
                .all(|name| name.len() == "0.log.20261122-101500".len())
        );
        let output = String::from_utf8(read_output(folder.path())).unwrap();
        let numbers: Vec<&str> = output.lines().map(|line| &line[5..6]).collect();
        assert_eq!(numbers, ["6", "7", "8", "9"], "the newest lines, in order");

        for _ in 0..MAX_STARTS {
            LogFiles::create(folder.path(), limits).unwrap();
        }
        assert_eq!(
            files(folder.path()),
            ["1.log", "2.log", "3.log", "4.log", "5.log"]
        );
    }

    #[test]
    fn lost_lines_are_counted_and_reported() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogFiles::create(folder.path(), Limits::default()).unwrap();
        log.write(Stream::Stdout, &[(b"before", false)]);
        // The disk is full.
        log.file = OpenOptions::new().write(true).open("/dev/full").unwrap();
        log.write(Stream::Stdout, &[(b"lost", false), (b"lost", false)]);
        log.write(Stream::Stdout, &[(b"lost", false)]);
        log.file = open(folder.path(), 0).unwrap();
        log.torn = true;
        log.write(Stream::Stdout, &[(b"after", false)]);
        let lines = read(&folder.path().join("0.log"));
        let rest: Vec<&str> = lines
            .iter()
            .filter_map(|line| Some(line.split_once(' ')?.1))
            .collect();
        assert_eq!(
            rest,
            [
                "stdout F before",
                "stderr F log-writer: 3 lines could not be written",
                "stdout F after"
            ]
        );
    }
}

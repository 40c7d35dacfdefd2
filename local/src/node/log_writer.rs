//! Writes what a program prints as the kubelet and containerd keep it: `local log-writer`, one process for each program, at the
//! other end of its pipes. It ends by itself when the program and all that it has started have closed them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use serde::{Deserialize, Serialize};

/// Bytes of one part of a line, as containerd writes it.
const PART_BYTES: usize = 16 * 1024;

/// How many of a container's starts are kept.
const STARTS: u32 = 5;

/// Between two looks at a pipe with a name that nobody has opened.
const UNOPENED: Duration = Duration::from_millis(50);

/// The kubelet's `containerLogMaxSize` and `containerLogMaxFiles`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes after which a file is renamed and another begun.
    pub bytes: u64,
    /// Files of one start, the one that is written to included.
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

/// Where a program wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
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

/// One container's log.
#[derive(Debug)]
pub struct Log {
    directory: PathBuf,
    limits: Limits,
    /// How often the container was started before.
    start: u32,
    file: File,
    size: u64,
    /// The last line's time, nanoseconds since 1970. No two lines have the same: by it a line is told from another with the same
    /// bytes.
    clock: i64,
    /// When a file was renamed last, seconds since 1970.
    rotated: i64,
    /// Lines that could not be written since the last one that was.
    lost: u64,
    /// Whether the file ends within a line that could not be written whole.
    torn: bool,
}

impl Log {
    /// Begins the next file of a container: `0.log`, `1.log` after a restart.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(directory: &Path, limits: Limits) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let mut starts = BTreeSet::new();
        for entry in fs::read_dir(directory)? {
            starts.extend(start_of(&entry?.path()));
        }
        let start = starts.last().map_or(0, |last| last + 1);
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if start_of(&path).is_some_and(|old| old + STARTS <= start) {
                fs::remove_file(path)?;
            }
        }
        Ok(Self {
            file: open(directory, start)?,
            directory: directory.to_owned(),
            limits,
            start,
            size: 0,
            clock: 0,
            rotated: 0,
            lost: 0,
            torn: false,
        })
    }

    /// Writes lines and parts of lines. What cannot be written is counted and left out, as containerd does: the program must
    /// not stand still because a disk is full. The count is written as soon as that is possible again.
    pub fn write(&mut self, stream: Stream, lines: &[(&[u8], bool)]) {
        let mut text = Vec::with_capacity(lines.iter().map(|(line, _)| line.len() + 48).sum());
        if self.torn {
            text.push(b'\n');
        }
        if self.lost > 0 {
            let told = format!("log-writer: {} lines could not be written", self.lost);
            self.line(&mut text, Stream::Stderr, told.as_bytes(), false);
        }
        for (line, partial) in lines {
            self.line(&mut text, stream, line, *partial);
        }
        match self.append(&text) {
            Ok(()) => (self.lost, self.torn) = (0, false),
            Err(error) => {
                if self.lost == 0 {
                    complain(&self.directory, &error);
                }
                self.lost += lines.len() as u64;
            }
        }
        if self.size >= self.limits.bytes
            && let Err(error) = self.rotate()
        {
            complain(&self.directory, &error);
            // Not with every line.
            self.size = self.limits.bytes / 2;
        }
    }

    /// Adds `<time> <stream> <P|F> <content>`.
    fn line(&mut self, text: &mut Vec<u8>, stream: Stream, content: &[u8], partial: bool) {
        let now = Utc::now().timestamp_nanos_opt().unwrap_or_default();
        self.clock = now.max(self.clock + 1);
        let time = DateTime::from_timestamp_nanos(self.clock).to_rfc3339_opts(SecondsFormat::Nanos, true);
        let tag = if partial { 'P' } else { 'F' };
        text.extend_from_slice(format!("{time} {} {tag} ", stream.name()).as_bytes());
        text.extend_from_slice(content);
        text.push(b'\n');
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        let mut left = text;
        while !left.is_empty() {
            match self.file.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.size += written as u64;
                    left = left.get(written..).unwrap_or_default();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let written = text.len() - left.len();
                    if let Some(last) = written.checked_sub(1) {
                        self.torn = text.get(last) != Some(&b'\n');
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Renames the file to `0.log.YYYYmmdd-HHMMSS`, begins another, and removes the oldest.
    fn rotate(&mut self) -> io::Result<()> {
        // Two within a second must not have one name.
        self.rotated = Utc::now().timestamp().max(self.rotated + 1);
        let stamp = DateTime::from_timestamp(self.rotated, 0)
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
            let is_one = path.file_name().is_some_and(|file| {
                file.to_string_lossy()
                    .strip_prefix(&name)
                    .is_some_and(|rest| rest.len() > 1)
            });
            if is_one {
                rotated.insert(path);
            }
        }
        let most = self.limits.files.saturating_sub(1);
        for path in rotated.iter().take(rotated.len().saturating_sub(most)) {
            fs::remove_file(path)?;
        }
        Ok(())
    }
}

fn complain(directory: &Path, error: &io::Error) {
    // Where this is not heard either, the count in the log itself is what is left.
    let _ = writeln!(
        io::stderr(),
        "log-writer: {}: {error}; lines are left out until it is over",
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

/// The number before `.log`.
fn start_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    let (start, rest) = name.split_once('.')?;
    rest.starts_with("log").then(|| start.parse().ok()).flatten()
}

/// Writes the container's log from standard input, which is the program's standard output, from this process's standard output,
/// which is a pipe to be *read* and is the program's standard error, and from pipes with names, until all are closed.
///
/// # Errors
/// The system's, before anything is read.
pub fn run(directory: &Path, limits: Limits, fifos: &[(Stream, PathBuf)]) -> io::Result<()> {
    let log = Arc::new(Mutex::new(Log::begin(directory, limits)?));
    let over = Arc::new(AtomicBool::new(false));
    let named: Vec<_> = fifos
        .iter()
        .map(|(stream, path)| {
            let fifo = Fifo::open(path, Arc::clone(&over))?;
            let (stream, log) = (*stream, Arc::clone(&log));
            Ok(thread::spawn(move || copy(fifo, stream, &log)))
        })
        .collect::<io::Result<_>>()?;
    let errors = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let other = Arc::clone(&log);
    let errors = thread::spawn(move || copy(errors, Stream::Stderr, &other));
    let output = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    copy(output, Stream::Stdout, &log);
    // A thread that panicked has nothing more to write.
    let _ = errors.join();
    over.store(true, Ordering::Relaxed);
    for thread in named {
        let _ = thread.join();
    }
    Ok(())
}

/// Copies lines until the end.
fn copy(mut input: impl Read, stream: Stream, log: &Mutex<Log>) {
    let mut held: Vec<u8> = Vec::new();
    let mut buffer = vec![0; 4 * PART_BYTES];
    let write = |lines: &[(&[u8], bool)]| {
        if !lines.is_empty() {
            log.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .write(stream, lines);
        }
    };
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        held.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let (lines, used) = lines(&held);
        write(&lines);
        held.drain(..used);
    }
    if !held.is_empty() {
        write(&[(&held, false)]);
    }
}

/// Whole lines and parts of long ones, with how many bytes they are.
fn lines(bytes: &[u8]) -> (Vec<(&[u8], bool)>, usize) {
    let mut lines = Vec::new();
    let mut used = 0;
    loop {
        let rest = bytes.get(used..).unwrap_or_default();
        let part = rest.get(..PART_BYTES + 1).unwrap_or(rest);
        if let Some(end) = part.iter().position(|byte| *byte == b'\n') {
            lines.push((part.get(..end).unwrap_or_default(), false));
            used += end + 1;
        } else if part.len() > PART_BYTES {
            lines.push((part.get(..PART_BYTES).unwrap_or_default(), true));
            used += PART_BYTES;
        } else {
            return (lines, used);
        }
    }
}

/// A pipe with a name, whose writers come and go until all is over.
struct Fifo {
    file: File,
    over: Arc<AtomicBool>,
}

impl Fifo {
    fn open(path: &Path, over: Arc<AtomicBool>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        Ok(Self { file, over })
    }
}

impl Read for Fifo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Asked before reading, so that what was written before the end is read.
            let over = self.over.load(Ordering::Relaxed);
            match self.file.read(buffer) {
                // Nobody has it open.
                Ok(0) if over => return Ok(0),
                Ok(0) => thread::sleep(UNOPENED),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut wanted = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
                    poll(&mut wanted, PollTimeout::from(500_u16))?;
                }
                read => return read,
            }
        }
    }
}

/// Makes a pipe with a name for a program that insists on writing to a file; one that is there is used again.
pub(crate) fn make_fifo(path: &Path) -> io::Result<()> {
    match nix::unistd::mkfifo(path, nix::sys::stat::Mode::from_bits_truncate(0o600)) {
        Ok(()) | Err(nix::errno::Errno::EEXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What a container has printed in its latest start: its lines without what stands before each.
pub(crate) fn printed(directory: &Path) -> Vec<u8> {
    let mut files: Vec<(u32, bool, PathBuf)> = fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let path = entry.path();
            let written = path.extension().is_some_and(|extension| extension == "log");
            Some((start_of(&path)?, written, path))
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
mod tests;

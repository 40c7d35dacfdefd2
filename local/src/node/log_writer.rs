//! `local log-writer`: reads a program's output from pipes and writes it in the log format of kubelet and containerd. There is
//! one process for each program. It ends when the program and its descendants have closed the pipes.

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

/// Longer lines are split into parts of this size, as containerd does.
const PART_BYTES: usize = 16 * 1024;

/// Log files of this many container starts are kept.
const KEPT_STARTS: u32 = 5;

/// How often to check a named pipe that has no writer.
const FIFO_POLL_INTERVAL: Duration = Duration::from_millis(50);

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
            if start_number(&path).is_some_and(|old| old + KEPT_STARTS <= start) {
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

/// Writes the container's log until all inputs are closed. The program's standard output arrives at this process's standard
/// input. The program's standard error arrives at this process's standard *output*, which is the read end of a pipe. More
/// output arrives at named pipes.
///
/// # Errors
/// The operating system's, before the first read.
pub fn run(directory: &Path, limits: Limits, fifos: &[(Stream, PathBuf)]) -> io::Result<()> {
    let log = Arc::new(Mutex::new(LogFiles::create(directory, limits)?));
    let program_ended = Arc::new(AtomicBool::new(false));
    let fifo_threads: Vec<_> = fifos
        .iter()
        .map(|(stream, path)| {
            let fifo = Fifo::open(path, Arc::clone(&program_ended))?;
            let (stream, log) = (*stream, Arc::clone(&log));
            Ok(thread::spawn(move || copy_lines(fifo, stream, &log)))
        })
        .collect::<io::Result<_>>()?;
    let stderr = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let stderr_log = Arc::clone(&log);
    let stderr_thread = thread::spawn(move || copy_lines(stderr, Stream::Stderr, &stderr_log));
    let stdout = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    copy_lines(stdout, Stream::Stdout, &log);
    // A thread that panicked has nothing more to write.
    let _ = stderr_thread.join();
    program_ended.store(true, Ordering::Relaxed);
    for thread in fifo_threads {
        let _ = thread.join();
    }
    Ok(())
}

/// Copies lines until the end of the input.
fn copy_lines(mut input: impl Read, stream: Stream, log: &Mutex<LogFiles>) {
    let mut pending: Vec<u8> = Vec::new();
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
        pending.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let (lines, used) = split_lines(&pending);
        write(&lines);
        pending.drain(..used);
    }
    if !pending.is_empty() {
        write(&[(&pending, false)]);
    }
}

/// Splits bytes into complete lines and parts of long lines (true), and returns the number of bytes used.
fn split_lines(bytes: &[u8]) -> (Vec<(&[u8], bool)>, usize) {
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

/// A named pipe. Its writers may open and close it several times until the program ends.
struct Fifo {
    file: File,
    program_ended: Arc<AtomicBool>,
}

impl Fifo {
    fn open(path: &Path, program_ended: Arc<AtomicBool>) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(path)?;
        Ok(Self { file, program_ended })
    }
}

impl Read for Fifo {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Loaded before the read, so that the last bytes before the end are still read.
            let program_ended = self.program_ended.load(Ordering::Relaxed);
            match self.file.read(buffer) {
                // No writer has the pipe open.
                Ok(0) if program_ended => return Ok(0),
                Ok(0) => thread::sleep(FIFO_POLL_INTERVAL),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let mut descriptors = [PollFd::new(self.file.as_fd(), PollFlags::POLLIN)];
                    poll(&mut descriptors, PollTimeout::from(500_u16))?;
                }
                read => return read,
            }
        }
    }
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
mod tests;

//! `local log-writer`: reads a program's output from pipes and writes its container log. There is one process for each
//! program. It ends when the program and its descendants have closed the pipes.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::files::{Limits, LogFiles, Stream};

/// Longer lines are split into parts of this size, as containerd does.
const PART_BYTES: usize = 16 * 1024;

/// How often to check a named pipe that has no writer.
const FIFO_POLL_INTERVAL: Duration = Duration::from_millis(50);

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

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::files::{make_fifo, read_output};
    use super::*;

    #[test]
    fn long_lines_are_split_into_parts() {
        let exact = [vec![b'x'; PART_BYTES], b"\n".to_vec()].concat();
        let (found, used) = split_lines(&exact);
        assert_eq!(
            (found, used),
            (vec![(&exact[..PART_BYTES], false)], PART_BYTES + 1)
        );
        let long = [
            vec![b'x'; 2 * PART_BYTES],
            b"y\n".to_vec(),
            vec![b'z'; PART_BYTES],
        ]
        .concat();
        let (found, used) = split_lines(&long);
        assert_eq!(
            found
                .iter()
                .map(|(line, partial)| (line.len(), *partial))
                .collect::<Vec<_>>(),
            [(PART_BYTES, true), (PART_BYTES, true), (1, false)]
        );
        assert_eq!(
            used,
            2 * PART_BYTES + 2,
            "the rest may still become a complete line"
        );

        let folder = tempfile::tempdir().unwrap();
        let log = Mutex::new(LogFiles::create(folder.path(), Limits::default()).unwrap());
        copy_lines(&long[..], Stream::Stdout, &log);
        let lengths: Vec<usize> = read_output(folder.path())
            .split(|byte| *byte == b'\n')
            .map(<[u8]>::len)
            .collect();
        assert_eq!(lengths, [2 * PART_BYTES + 1, PART_BYTES, 0]);
    }

    #[test]
    fn a_named_pipe_is_read_until_the_program_ends() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        make_fifo(&path).unwrap();
        make_fifo(&path).unwrap();
        let program_ended = Arc::new(AtomicBool::new(false));
        let fifo = Fifo::open(&path, Arc::clone(&program_ended)).unwrap();
        let log = Arc::new(Mutex::new(
            LogFiles::create(&folder.path().join("log"), Limits::default()).unwrap(),
        ));
        let thread_log = Arc::clone(&log);
        let reader = thread::spawn(move || copy_lines(fifo, Stream::Stdout, &thread_log));
        for text in ["one\n", "two\n"] {
            // Each writer opens the pipe, writes and closes it.
            let mut writer = OpenOptions::new().append(true).open(&path).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
        }
        program_ended.store(true, Ordering::Relaxed);
        reader.join().unwrap();
        assert_eq!(read_output(&folder.path().join("log")), b"one\ntwo\n");
    }
}

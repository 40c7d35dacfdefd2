//! Sends long output to a pager, as git does.

use std::{
    ffi::OsStr,
    io::{self, ErrorKind, StdoutLock, Write},
    process::{self, Child, ChildStdin, Command, Stdio},
    str::FromStr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::signal::unix::{SignalKind, signal};

const LESS: &str = "less";

/// Default environment of pagers. less exits if the output fits (F), shows colours (R) and keeps the screen (X).
const SETTINGS: [(&str, &str); 2] = [("LESS", "FRX"), ("LV", "-c")];

/// When to page, and with which pager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pager {
    /// On a terminal, with `PAGER` or less.
    Auto,
    /// Always, with `PAGER` or less.
    Always,
    Never,
    /// On a terminal, with this program and its arguments.
    Named(Vec<String>),
}

impl FromStr for Pager {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            // As in git.
            "never" | "" | "cat" => Ok(Self::Never),
            command => match shlex::split(command) {
                Some(words) if !words.is_empty() => Ok(Self::Named(words)),
                _ => Err("unclosed quotation mark"),
            },
        }
    }
}

pub enum PagedStdout {
    Straight(StdoutLock<'static>),
    /// A pager. Dropping it waits for its end.
    Paged(Paged),
}

impl PagedStdout {
    #[must_use]
    pub fn straight() -> Self {
        Self::Straight(io::stdout().lock())
    }

    /// Starts the pager if needed and possible. `terminal`: standard output is a terminal. `plain`: the output is for
    /// people.
    #[must_use]
    pub fn new(pager: &Pager, terminal: bool, plain: bool) -> (Self, Option<String>) {
        let is_enabled = match pager {
            Pager::Never => false,
            Pager::Always => true,
            Pager::Auto | Pager::Named(_) => terminal && plain && !is_dumb(),
        };
        let words = if is_enabled {
            command_words(pager)
        } else {
            Vec::new()
        };
        let Some((program, arguments)) = words.split_first() else {
            return (Self::straight(), None);
        };
        match Paged::start(program, arguments) {
            Ok(paged) => (Self::Paged(paged), None),
            // The user did not ask for less.
            Err(_) if program == LESS => (Self::straight(), None),
            Err(error) => {
                let note = format!("cannot run the pager {program}: {error}");
                (Self::straight(), Some(note))
            }
        }
    }
}

fn command_words(pager: &Pager) -> Vec<String> {
    if let Pager::Named(words) = pager {
        return words.clone();
    }
    match std::env::var("PAGER").ok().map(|text| text.parse()) {
        Some(Ok(Pager::Named(words))) => words,
        Some(Ok(Pager::Never)) => Vec::new(),
        _ => vec![LESS.to_owned()],
    }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term == OsStr::new("dumb"))
}

impl Write for PagedStdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Straight(out) => out.write(bytes),
            Self::Paged(paged) => paged.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Straight(out) => out.flush(),
            // The pipe needs no flush.
            Self::Paged(_) => Ok(()),
        }
    }
}

/// A running pager.
pub struct Paged {
    out: Option<ChildStdin>,
    /// All output is written, so the pager may end.
    finished: Arc<AtomicBool>,
    /// Ctrl-C was pressed, which pagers use for other purposes.
    stopped: Arc<AtomicBool>,
    waiter: Option<JoinHandle<()>>,
}

impl Paged {
    fn start(program: &str, arguments: &[String]) -> io::Result<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped());
        for (name, value) in SETTINGS {
            if std::env::var_os(name).is_none() {
                command.env(name, value);
            }
        }
        let stopped = Arc::new(AtomicBool::new(false));
        heed_interrupts(Arc::clone(&stopped))?;
        let mut child = command.spawn()?;
        let finished = Arc::new(AtomicBool::new(false));
        Ok(Self {
            out: child.stdin.take(),
            stopped,
            waiter: Some(wait(child, Arc::clone(&finished))),
            finished,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.out {
            Some(out) if !self.stopped.load(Ordering::Relaxed) => out.write(bytes),
            _ => Err(ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Paged {
    fn drop(&mut self) {
        self.finished.store(true, Ordering::SeqCst);
        self.out = None;
        if let Some(waiter) = self.waiter.take() {
            // The thread does not panic.
            let _ = waiter.join();
        }
    }
}

/// Waits for the pager. If the user quits it, logq exits, too, even during a search.
fn wait(mut child: Child, finished: Arc<AtomicBool>) -> JoinHandle<()> {
    thread::spawn(move || {
        let ended = child.wait();
        if !finished.load(Ordering::SeqCst) && ended.is_ok_and(|status| status.success()) {
            process::exit(0);
        }
    })
}

/// Ctrl-C also reaches the pager, which continues. logq must outlive the pager, so it only stops writing.
fn heed_interrupts(stopped: Arc<AtomicBool>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut interrupts = {
        let _entered = runtime.enter();
        signal(SignalKind::interrupt())?
    };
    thread::spawn(move || {
        while runtime.block_on(interrupts.recv()).is_some() {
            stopped.store(true, Ordering::Relaxed);
        }
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pager_command_is_split_like_a_shell() {
        let named = |words: &[&str]| Ok(Pager::Named(words.iter().map(|word| (*word).into()).collect()));
        for (typed, expected) in [
            ("auto", Ok(Pager::Auto)),
            ("never", Ok(Pager::Never)),
            ("", Ok(Pager::Never)),
            ("cat", Ok(Pager::Never)),
            ("less -S", named(&["less", "-S"])),
            ("'my pager' -x", named(&["my pager", "-x"])),
            ("less '", Err("unclosed quotation mark")),
        ] {
            assert_eq!(typed.parse::<Pager>(), expected, "{typed:?}");
        }
    }
}

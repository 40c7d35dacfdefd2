//! Shows what the components log.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use logq::{
    cli::{self, Cli, NoView},
    command::{self, say},
    config::{self, Config},
    forward,
    search::{NOTHING, Outcome, SearchError},
};

/// Lines were found, or nothing was asked for that could be missing.
const FOUND: u8 = 0;
/// Something went wrong.
const ERROR: u8 = 2;

fn main() -> ExitCode {
    if let Some(code) = forward::hold(std::env::args_os()) {
        return code;
    }
    let done = settled().and_then(|(cli, config)| Ok(command::run(cli, &config)?));
    let code = match done {
        Ok(outcome) => told(&outcome),
        Err(End::Usage(error)) | Err(End::Search(SearchError::View(NoView::Usage(error)))) => usage(&error),
        // Whoever read the output has seen enough.
        Err(End::Search(SearchError::Output(error))) if error.kind() == ErrorKind::BrokenPipe => FOUND,
        Err(End::Search(error)) => failed(&error),
    };
    ExitCode::from(code)
}

/// Why there is no outcome.
enum End {
    /// The words are none that can be understood, or ask for help.
    Usage(clap::Error),
    /// What is asked for cannot be had.
    Search(SearchError),
}

impl<E: Into<SearchError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Search(error.into())
    }
}

/// What is typed, and what is settled beside it.
fn settled() -> Result<(Cli, Config), End> {
    let typed: Vec<_> = std::env::args_os().collect();
    let (path, words) = config::named(typed)?;
    // What is no UTF-8 is not what was meant, and is told as such by who reads it.
    let environment = Box::new(|name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned()));
    match Config::read(path.as_deref(), environment, &Cli::command()) {
        Ok(config) => {
            let cli = cli::read(words, &config).map_err(End::Usage)?;
            Ok((cli, config))
        }
        Err(mistakes) => match Cli::try_parse_from(words) {
            // Help is given all the same.
            Err(error) if !error.use_stderr() => Err(End::Usage(error)),
            Ok(_) | Err(_) => Err(mistakes.into()),
        },
    }
}

/// Prints help, or what is wrong with the words; returns the exit status.
fn usage(error: &clap::Error) -> u8 {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed(&error.into()),
        _ if error.use_stderr() => ERROR,
        _ => FOUND,
    }
}

/// Says what went wrong; returns the exit status.
fn failed(error: &SearchError) -> u8 {
    for line in error.to_string().lines() {
        // One line for each of several mistakes; what is indented belongs to
        // the one before.
        let begin = if line.starts_with(' ') { "" } else { "error: " };
        say(&format!("{begin}{line}"));
    }
    ERROR
}

/// Says what a person should know beside the lines; returns the exit status.
fn told(outcome: &Outcome) -> u8 {
    for note in &outcome.notes {
        say(note);
    }
    for error in &outcome.errors {
        say(&format!("error: {error}"));
    }
    if outcome.shown < outcome.found {
        say(&format!("{} of {} lines shown", outcome.shown, outcome.found));
    }
    if let Some(status) = outcome.status {
        status
    } else if !outcome.errors.is_empty() {
        ERROR
    } else if outcome.found > 0 {
        FOUND
    } else {
        if outcome.notes.is_empty() {
            say("no line found; --explain says what was looked for, `logq doctor` whether lines arrive");
        }
        NOTHING
    }
}

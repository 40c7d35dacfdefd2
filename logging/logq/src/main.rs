//! Shows what the components log.

use std::{io::ErrorKind, process::ExitCode};

use clap::{CommandFactory, Parser};
use logq::{
    cli::{self, Cli},
    command::{self, say},
    config::{self, Config, ConfigError},
    search::{Outcome, SearchError},
};

/// Lines were found, or nothing was asked for that could be missing.
const FOUND: u8 = 0;
/// No line was found.
const NOTHING: u8 = 1;
/// Something went wrong.
const ERROR: u8 = 2;

fn main() -> ExitCode {
    let code = match settled()
        .map_err(SearchError::from)
        .and_then(|(cli, config)| command::run(cli, &config))
    {
        Ok(outcome) => told(&outcome),
        // Whoever read the output has seen enough.
        Err(SearchError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => FOUND,
        Err(error) => {
            // One line for each of several mistakes.
            for line in error.to_string().lines() {
                say(&format!("error: {line}"));
            }
            ERROR
        }
    };
    ExitCode::from(code)
}

/// What is typed, and what is settled beside it.
fn settled() -> Result<(Cli, Config), ConfigError> {
    let typed: Vec<_> = std::env::args_os().collect();
    let (path, words) = config::named(typed)?;
    // What is no UTF-8 is not what was meant, and is told as such by who reads it.
    let environment = Box::new(|name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned()));
    match Config::read(path.as_deref(), environment, &Cli::command()) {
        Ok(config) => {
            let cli = cli::read(words, &config).unwrap_or_else(|error| error.exit());
            Ok((cli, config))
        }
        Err(mistakes) => {
            // Help is given all the same.
            if let Err(error) = Cli::try_parse_from(words)
                && !error.use_stderr()
            {
                error.exit();
            }
            Err(mistakes)
        }
    }
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

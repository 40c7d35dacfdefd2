//! Searches the logs of all components.

use std::{
    io::{self, ErrorKind, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use logq::{
    cli::{self, Cli, ViewError},
    command::{self, Error, print_diagnostic},
    config::{self, Config},
    search::{EXIT_NO_MATCH, RunReport, SearchError},
};

/// Lines were found, or the command is not a search.
const EXIT_SUCCESS: u8 = 0;
const EXIT_ERROR: u8 = 2;

fn main() -> ExitCode {
    let result = parse_arguments().and_then(|(cli, config)| command::run(cli, &config));
    let code = match result {
        Ok(report) => print_report(&report),
        Err(Error::Usage(error) | Error::View(ViewError::Usage(error))) => print_usage(&error),
        // The reader of the output has seen enough.
        Err(Error::Output(error) | Error::Search(SearchError::Output(error)))
            if error.kind() == ErrorKind::BrokenPipe =>
        {
            EXIT_SUCCESS
        }
        Err(error) => print_error(&error),
    };
    ExitCode::from(code)
}

/// Parses the command line and reads the settings.
fn parse_arguments() -> Result<(Cli, Config), Error> {
    let arguments: Vec<_> = std::env::args_os().collect();
    let (path, arguments) = config::take_config_option(arguments)?;
    // Replace invalid UTF-8. The parser of the value then reports it.
    let environment = Box::new(|name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned()));
    match Config::read(path.as_deref(), environment, &Cli::command()) {
        Ok(config) => Ok((cli::parse(arguments, &config)?, config)),
        Err(errors) => match Cli::try_parse_from(arguments) {
            // Invalid settings do not prevent --help.
            Err(error) if !error.use_stderr() => Err(error.into()),
            Ok(_) | Err(_) => Err(errors.into()),
        },
    }
}

/// Prints clap's error or help; returns the exit status.
fn print_usage(error: &clap::Error) -> u8 {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => print_error(&error.into()),
        _ if error.use_stderr() => EXIT_ERROR,
        _ => EXIT_SUCCESS,
    }
}

/// Prints an error; returns the exit status.
fn print_error(error: &Error) -> u8 {
    for line in error.to_string().lines() {
        // One line per error. An indented line continues the previous one.
        let prefix = if line.starts_with(' ') { "" } else { "error: " };
        print_diagnostic(&format!("{prefix}{line}"));
    }
    EXIT_ERROR
}

/// Prints the notes and errors of a command; returns the exit status.
fn print_report(report: &RunReport) -> u8 {
    for note in &report.notes {
        print_diagnostic(note);
    }
    for error in &report.errors {
        print_diagnostic(&format!("error: {error}"));
    }
    if report.shown < report.found {
        print_diagnostic(&format!("{} of {} lines shown", report.shown, report.found));
    }
    if let Some(status) = report.status {
        status
    } else if !report.errors.is_empty() {
        EXIT_ERROR
    } else if report.found > 0 {
        EXIT_SUCCESS
    } else {
        if report.notes.is_empty() {
            print_diagnostic(
                "no lines found; --explain shows the query, `logq doctor` checks whether lines arrive",
            );
        }
        EXIT_NO_MATCH
    }
}

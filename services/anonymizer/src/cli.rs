//! The command line.

use clap::{Parser, Subcommand};

/// Makes people, faces and vehicles in photos unrecognisable.
#[derive(Debug, Parser)]
#[command(name = "anonymizer", version, about)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Take jobs from the queue and anonymise their photos, until SIGTERM.
    ///
    /// All settings come from the environment: docs/configuration.md. Exit
    /// code 2: the settings make no sense; 1: the worker cannot start, or must
    /// be replaced; 0: ended in order.
    Serve,
    /// Anonymise photos from files and folders.
    ///
    /// Writes each photo as NAME.jpg into OUT, and leaves IN as it is. A photo
    /// that cannot be anonymised is not written. Settings come from the
    /// environment, as with `serve`: docs/configuration.md. Exit code 0: all
    /// photos are anonymised; 1: some are not, or a folder below IN cannot be
    /// read; 2: the command or the settings make no sense, and nothing was done.
    /// Links to photos are followed, links to folders are not. Whatever links
    /// there are in OUT, nothing is written into IN.
    File(crate::file::Arguments),
    /// Work on one photo from standard input, for `serve`.
    #[command(hide = true, name = crate::child::COMMAND)]
    PhotoProcess,
}

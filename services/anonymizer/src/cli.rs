//! The command line.

use clap::{Parser, Subcommand};

/// Makes people, faces and vehicles in photos unrecognisable.
#[derive(Debug, Parser)]
#[command(name = "anonymizer", version, about)]
pub struct Cli {
    #[command(subcommand)]
    pub command: AnonymizerCommand,
}

#[derive(Debug, Subcommand)]
pub enum AnonymizerCommand {
    /// Anonymise photos from the queue, until SIGTERM.
    ///
    /// Settings come from the environment: see docs/configuration.md.
    ///
    /// Exit codes: 0 after SIGTERM; 1 if the worker cannot start or must be replaced; 2 if a setting is invalid.
    Serve,
    /// Anonymise photos from files and folders.
    ///
    /// Writes each photo to OUT as NAME.jpg. Never changes anything in IN, even through links in OUT. Skips a photo
    /// that cannot be anonymised. Follows links to photos, but not to folders.
    ///
    /// Settings come from the environment: see docs/configuration.md.
    ///
    /// Exit codes: 0 if all photos are anonymised; 1 if a photo failed or a folder cannot be read; 2 if an argument or
    /// a setting is invalid, before any photo is written.
    File(crate::file::FileArguments),
    /// Anonymise one photo from standard input, for `serve`.
    #[command(hide = true, name = crate::child::COMMAND)]
    PhotoProcess,
}

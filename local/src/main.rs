//! `local`: runs the local stack from the command line.

mod command;

use std::process::ExitCode;

use clap::Parser;

#[tokio::main]
async fn main() -> ExitCode {
    match command::Cli::parse().run().await {
        Ok(code) => code,
        Err(error) => {
            command::output::print_error(&error);
            ExitCode::from(command::STACK_FAILED)
        }
    }
}

//! What each command does: from what is typed to how it went.

mod lines;
mod settled;
mod undecided;
mod upkeep;

use std::io::{self, Write};

use tokio::runtime::{self, Runtime};

use crate::{
    cli::{Cli, Command, expanded},
    config::Config,
    opensearch::Client,
    search::{Outcome, SearchError},
    source::kubectl::Program,
};

/// Runs what was typed; the lines go to standard output, or to a pager.
///
/// # Errors
///
/// What is asked for is unclear, or who is asked cannot answer.
pub fn run(cli: Cli, config: &Config) -> Result<Outcome, SearchError> {
    match cli.command {
        None => lines::lines(cli.search, config),
        Some(Command::View { arguments }) if arguments.is_empty() => settled::list_views(config),
        Some(Command::View { arguments }) => lines::lines(expanded(&arguments, config)?, config),
        Some(Command::Trace { search, .. }) => lines::traces(*search, config),
        Some(Command::Import {
            files,
            follow,
            positions,
            kubectl,
        }) => {
            let client = client(config, &kubectl)?;
            upkeep::bring(&files, follow, positions.as_deref(), &client)
        }
        Some(Command::Admin(task)) => upkeep::administer(&task, config),
        Some(Command::Doctor(asked)) => upkeep::examine(&asked, config),
        Some(Command::Config) => settled::show(config),
        Some(Command::Completions { shell }) => settled::completions(shell),
    }
}

/// OpenSearch where somebody has said that it is, or on this machine: what changes something does not look further.
fn client(config: &Config, kubectl: &Program) -> Result<Client, SearchError> {
    Ok(Client::new(&config.opensearch()?.by(kubectl))?)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Tells a person on standard error what is no line.
pub fn say(text: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "logq: {}", terminal::escaped(text));
}

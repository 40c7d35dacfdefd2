//! Runs each command.

mod fallback_buffer;
mod maintenance;
mod search;
mod settings;

use std::io::{self, Write};

use tokio::runtime::{self, Runtime};

use crate::{
    cli::{Cli, Command, expand_view},
    config::Config,
    opensearch::Client,
    search::{RunReport, SearchError},
    source::kubectl::KubectlProgram,
};

/// Runs the command line. Writes lines to standard output or a pager.
///
/// # Errors
/// The arguments are invalid, or the source fails.
pub fn run(cli: Cli, config: &Config) -> Result<RunReport, SearchError> {
    match cli.command {
        None => search::run(cli.search, config),
        Some(Command::View { arguments }) if arguments.is_empty() => settings::list_views(config),
        Some(Command::View { arguments }) => search::run(expand_view(&arguments, config)?, config),
        Some(Command::Trace { search, .. }) => search::run_traces(*search, config),
        Some(Command::Import {
            files,
            follow,
            positions,
            kubectl,
        }) => {
            let client = client(config, &kubectl)?;
            maintenance::run_import(&files, follow, positions.as_deref(), &client)
        }
        Some(Command::Admin(task)) => maintenance::run_admin(&task, config),
        Some(Command::Doctor(options)) => maintenance::run_doctor(&options, config),
        Some(Command::Config) => settings::show_config(config),
        Some(Command::Completions { shell }) => settings::print_completions(shell),
    }
}

/// A client for the configured OpenSearch, or the local one. Commands that write do not search the cluster for one.
fn client(config: &Config, kubectl: &KubectlProgram) -> Result<Client, SearchError> {
    Ok(Client::new(&config.opensearch()?.with_kubectl(kubectl))?)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Prints a message to standard error.
pub fn print_diagnostic(text: &str) {
    // There is no place to report a broken standard error.
    let _ = writeln!(io::stderr(), "logq: {}", terminal::escaped(text));
}

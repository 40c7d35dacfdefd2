//! Runs each command.

mod fallback_buffer;
mod maintenance;
mod search;
mod settings;

use std::io::{self, Write};

use tokio::runtime::{self, Runtime};

use crate::{
    admin,
    cli::{Cli, LogqCommand, ViewError, expand_view},
    config::{Config, ConfigError},
    follow::FollowError,
    import::ImportError,
    kubernetes::ClusterOptions,
    opensearch::{self, Client, OpenSearchSettingsError},
    query::QueryError,
    render::FieldsError,
    search::{RunReport, SearchError},
    source::ChooseError,
};

/// Why logq fails.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Invalid arguments, or a request for help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Settings(#[from] OpenSearchSettingsError),
    #[error(transparent)]
    View(#[from] ViewError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Fields(#[from] FieldsError),
    #[error(transparent)]
    Choose(#[from] ChooseError),
    #[error(transparent)]
    Search(#[from] SearchError),
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    OpenSearch(#[from] opensearch::Error),
    #[error(transparent)]
    Import(#[from] ImportError),
    #[error(transparent)]
    Admin(#[from] admin::Error),
    /// Cannot write the output.
    #[error("output: {0}")]
    Output(#[from] io::Error),
}

/// Runs the command line. Writes lines to standard output or a pager.
///
/// # Errors
/// The arguments are invalid, or the source fails.
pub fn run(cli: Cli, config: &Config) -> Result<RunReport, Error> {
    match cli.command {
        None => search::run(cli.search, config),
        Some(LogqCommand::View { arguments }) if arguments.is_empty() => settings::list_views(config),
        Some(LogqCommand::View { arguments }) => search::run(expand_view(&arguments, config)?, config),
        Some(LogqCommand::Trace { search, .. }) => search::run_traces(*search, config),
        Some(LogqCommand::Import {
            files,
            follow,
            positions,
            cluster,
        }) => {
            let client = client(config, &cluster)?;
            maintenance::run_import(&files, follow, positions.as_deref(), &client)
        }
        Some(LogqCommand::Admin(task)) => maintenance::run_admin(&task, config),
        Some(LogqCommand::Doctor(options)) => maintenance::run_doctor(&options, config),
        Some(LogqCommand::Config) => settings::show_config(config),
        Some(LogqCommand::Completions { shell }) => settings::print_completions(shell),
        Some(LogqCommand::Man { folder }) => settings::write_man_pages(&folder),
    }
}

/// A client for the configured OpenSearch, or the local one. Commands that write do not search the cluster for one.
fn client(config: &Config, cluster: &ClusterOptions) -> Result<Client, Error> {
    Ok(Client::new(&config.opensearch()?.with_cluster(cluster))?)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Prints a message to standard error.
pub fn print_diagnostic(text: &str) {
    // There is no place to report a broken standard error.
    let _ = writeln!(io::stderr(), "logq: {}", terminal::escaped(text));
}

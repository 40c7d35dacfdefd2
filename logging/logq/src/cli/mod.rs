//! Command-line arguments.

mod parse;
mod view;

use std::{ffi::OsString, path::PathBuf};

use clap::{Parser, Subcommand};
use clap_complete::Shell;

pub use self::{
    parse::parse,
    view::{ViewError, expand_view, views},
};
use crate::{
    admin::AdminArguments, doctor::DoctorOptions, kubernetes::ClusterOptions, search::SearchOptions,
};

const EXAMPLES: &str = "\
Examples:
  logq -c irmgard --with-db --since 15m         the web service and its database
  logq --photo 17                               everything about one photo
  logq trace 4bf92f35                           one trace as a waterfall
  logq --level warn --since yesterday
  logq -f 'duration_seconds>500ms' -f 'http.route=/photos/{id}'
  logq --grep 'timed? out' -C 3                 with three lines of context
  logq -F -c irmgard --with-db --level warn     follow new lines
  logq pods/ -c irmgard --with-db               read files instead of OpenSearch
  kubectl logs deploy/irmgard | logq - --stats  read a pipe
  logq --kube-context minikube -c irmgard       read from another cluster
  logq doctor                                   find out why no lines arrive

Sources:
  OpenSearch    LOGQ_OPENSEARCH_URL: http://, https:// or kubernetes://NAMESPACE/SERVICE, which starts a
                port-forward. Default: this machine, then the current cluster. http_proxy applies, except to
                this machine. See opensearch/README.md.
  pods          of the current cluster, if OpenSearch is unreachable
  files         if you name some. A folder such as /var/log/pods may contain pods.json, the output of
                `kubectl get pods -A -o json`: its labels tell which database a component uses.

Options with [env: LOGQ_…] can also be set in ~/.config/logq/config.toml: LOGQ_COLOR is the key color.
`logq config` shows all settings and their origin. `logq view` lists views; define your own as [views.NAME].

Exit status: 0 lines found, 1 no lines found, 2 error.";

/// Search the logs of all components
#[derive(Clone, Debug, Parser)]
#[command(
    name = "logq",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// Configuration file [default: ~/.config/logq/config.toml] [env: LOGQ_CONFIG=]
    // `config::take_config_option` removes this option before clap parses. It is here for the help.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Option<LogqCommand>,
    #[command(flatten)]
    pub search: SearchOptions,
}

/// Everything but a search.
#[derive(Clone, Debug, Subcommand)]
pub enum LogqCommand {
    /// Show a trace as a waterfall
    Trace {
        /// Trace id, 32 hexadecimal digits or the first 8 or more. Not with --photo, which shows all traces of a photo
        #[arg(value_name = "ID")]
        id: Option<OsString>,
        #[command(flatten)]
        search: Box<SearchOptions>,
    },
    /// Search with a named set of options; without a name, list the views
    #[command(disable_help_flag = true)]
    View {
        /// View, and further search options
        #[arg(value_name = "NAME", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Check the log pipeline and say how to repair it
    Doctor(DoctorOptions),
    /// Show all settings and their origin
    Config,
    /// Prepare and maintain OpenSearch
    Admin(AdminArguments),
    /// Import files into OpenSearch without Fluentd; safe to repeat
    Import {
        /// Files and folders
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Import new lines until SIGTERM; wait while OpenSearch is unavailable
        #[arg(long)]
        follow: bool,
        /// Checkpoint of --follow [default: .logq.positions in the first folder or beside the first file]
        #[arg(long, value_name = "FILE", requires = "follow")]
        positions: Option<PathBuf>,
        #[command(flatten)]
        cluster: ClusterOptions,
    },
    /// Print shell completions
    Completions {
        /// Shell
        shell: Shell,
    },
    /// Write man pages, for packages
    #[command(hide = true)]
    Man {
        /// Existing folder
        #[arg(value_name = "FOLDER")]
        folder: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn clap_accepts_the_command_definition() {
        Cli::command().debug_assert();
    }
}

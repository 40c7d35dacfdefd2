//! The command line as it is typed.

pub mod condition;
mod read;
pub mod selector;
mod source;
pub mod time;
mod view;

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::{admin::Admin, doctor::Doctor, follow::order_window, pager::Pager, source::kubectl::Program};

pub use self::{
    read::{ALL, USUAL_SINCE, is_all, read},
    source::{Asked, From},
    view::{NoView, View, expanded, is_shipped, views},
};

const EXAMPLES: &str = "\
Examples:
  logq -c irmgard --with-db --since 15m         the web service and its database
  logq --photo 17                               what happened to this photo
  logq trace 4bf92f35                           one trace as a waterfall
  logq --level warn --since yesterday
  logq -f 'duration_seconds>500ms' -f 'http.route=/photos/{id}'
  logq --grep 'timed? out' -C 3                 with three lines around each
  logq -F -c irmgard --with-db --level warn     what comes from now on, too
  logq pods/ -c irmgard --with-db               files in place of OpenSearch
  kubectl logs deploy/irmgard | logq - --stats  lines of a pipe
  logq --kube-context minikube -c irmgard       of the distribution in this cluster
  logq doctor                                   why does no line come?
Lines come from OpenSearch (LOGQ_OPENSEARCH_URL and its like, through what http_proxy and its like say,
this machine's never by a proxy: opensearch/README.md); from a cluster's OpenSearch by a port-forward that logq makes, where the address is
kubernetes://NAMESPACE/SERVICE or none is set and none is on this machine; from the pods, by kubectl, where
OpenSearch cannot be reached; or from files where some are named. pods/ is a folder as
the kubelet writes it (/var/log/pods), with or beside pods.json, what `kubectl get pods -A -o json`
prints: the pods' labels say who uses which database.

Options that name a variable can be settled by it, or in ~/.config/logq/config.toml: LOGQ_COLOR is color there.
`logq config` shows what is in force and where it comes from; `logq view` lists views, also one's own ([views.NAME]).

Exit status: 0 lines were found, 1 none was, 2 an error.";

/// Shows what the components log.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "logq",
    version,
    after_help = EXAMPLES,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// The configuration file, in place of ~/.config/logq/config.toml [env: LOGQ_CONFIG=]
    // It is taken out of the command line before clap reads that; here for the help.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Something else than lines.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Lines.
    #[command(flatten)]
    pub search: Search,
}

/// What else than lines can be asked for.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// A trace as a waterfall: what happened when, in which component, how long it took
    Trace {
        /// 32 hexadecimal digits, or their beginning; not beside --photo, which draws each trace of that photo
        #[arg(value_name = "ID")]
        id: Option<OsString>,
        /// Where to look, and how to show it.
        #[command(flatten)]
        search: Box<Search>,
    },
    /// A view that has a name, with more options; without a name the list of views
    #[command(disable_help_flag = true)]
    View {
        /// The view, and options as without one
        #[arg(value_name = "NAME", trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Whether every link from a program's line to who looks for it holds, and what to do where one does not
    Doctor(Doctor),
    /// What is settled by the configuration file and by variables
    Config,
    /// Keep OpenSearch in order for the log lines
    Admin(Admin),
    /// Bring the lines of files and folders to OpenSearch, where no Fluentd does; again changes nothing
    Import {
        /// Files and folders, as for a search
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
        /// Go on with the lines that are added, until SIGTERM; waits while OpenSearch is away
        #[arg(long)]
        follow: bool,
        /// Where --follow notes how far it came [default: .logq.positions in the first folder, or beside the first file]
        #[arg(long, value_name = "FILE", requires = "follow")]
        positions: Option<PathBuf>,
        /// How an OpenSearch in a cluster is reached.
        #[command(flatten)]
        kubectl: Program,
    },
    /// The completions of a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Lines, and how they are shown.
#[derive(Args, Clone, Debug)]
pub struct Search {
    /// Files and folders to read in place of OpenSearch, also .gz and .zst, and - for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Which lines.
    #[command(flatten)]
    pub select: Select,
    /// When.
    #[command(flatten)]
    pub window: Window,
    /// Who is asked.
    #[command(flatten)]
    pub asked: Asked,
    /// How they are shown.
    #[command(flatten)]
    pub show: Show,
}

/// Which lines.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Select")]
pub struct Select {
    /// Lines of this component; * and ? stand for other characters; may be repeated
    #[arg(short, long = "component", value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub components: Vec<String>,
    /// Also the lines of the database that these components use; which one, their lines of any age say
    #[arg(long)]
    pub with_db: bool,
    /// Also those of the broker that they use; beside --trace and --photo, and by `logq trace`, those about connections of
    /// the pods in a trace, 5 s before its first line to 5 s after its last, as "related" (not followed)
    #[arg(long)]
    pub with_queue: bool,
    /// Also those of the object store that they use
    #[arg(long)]
    pub with_store: bool,
    /// Also those of everything that they use
    #[arg(long)]
    pub with_all: bool,
    /// Lines of pods in this namespace; what the variable says is not asked of files
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = name,
        env = "LOGQ_NAMESPACE"
    )]
    pub namespace: Vec<String>,
    /// Lines of pods with these labels, as kubectl takes them
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Lines of this pod; * and ? stand for other characters
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub pod: Vec<String>,
    /// Lines of containers of this name
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub container: Vec<String>,
    /// Lines of pods on this node
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = name)]
    pub node: Vec<String>,
    /// Minimum level; lines without a level are left out
    #[arg(long, value_name = "LEVEL", value_parser = levels(), ignore_case = true)]
    pub level: Option<&'static str>,
    /// Lines in whose texts (message, error, statement, stack trace) this is found; (?i) at its beginning: in any case
    #[arg(short, long, value_name = "REGEX")]
    pub grep: Vec<String>,
    /// Lines in whose texts this is not found
    #[arg(short = 'v', long, value_name = "REGEX")]
    pub exclude: Vec<String>,
    /// Lines whose field fits: NAME=VALUE, !=, ~=, !~=, >, >=, <, <=, or "NAME exists"; blanks around a value count in
    /// quotes only
    #[arg(short = 'f', long = "field", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// Lines about this photo, and all lines of their traces; may be repeated
    #[arg(long = "photo", value_name = "ID", value_delimiter = ',', value_parser = photo)]
    pub photos: Vec<i64>,
    /// Lines of this trace: 32 hexadecimal digits, or their beginning; may be repeated
    #[arg(long = "trace", value_name = "ID", value_delimiter = ',')]
    pub traces: Vec<String>,
}

/// When.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Time")]
pub struct Window {
    /// Not before: 15m, 3h, 2d, 14:00, "yesterday 14:00", 2026-11-22, "2026-11-22 14:00 +02:00", RFC 3339, all. Default:
    /// the last hour, or what the variable says; but all of files, of --photo and --trace, and before --tail and --reverse
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, env = "LOGQ_SINCE")]
    pub since: Option<String>,
    /// The default time range.
    #[arg(skip)]
    pub usual: Option<String>,
    /// Whether the default was taken, so that there may be more.
    #[arg(skip)]
    pub is_usual: bool,
    /// Not after
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// A minute before and after this, or so long as --since says (15m)
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "until",
        allow_hyphen_values = true
    )]
    pub around: Option<String>,
}

/// How lines are shown.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Show")]
pub struct Show {
    /// The form of each line
    #[arg(short, long, value_enum, default_value_t, env = "LOGQ_OUTPUT")]
    pub output: Output,
    /// Whether to colour
    #[arg(long, value_enum, default_value_t, env = "LOGQ_COLOR")]
    pub color: Colour,
    /// Only these fields, apart by commas; * stands for other characters
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "LOGQ_FIELDS")]
    pub fields: Vec<String>,
    /// Not these fields
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "LOGQ_HIDE")]
    pub hide: Vec<String>,
    /// The option of these two that was typed.
    #[arg(skip)]
    pub chooses_fields: Option<&'static str>,
    /// Times in UTC, those shown and those typed
    #[arg(
        long,
        env = "LOGQ_UTC",
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true",
        hide_default_value = true,
        hide_possible_values = true,
        value_name = "BOOL",
        value_parser = BoolishValueParser::new(),
        action = ArgAction::Set
    )]
    pub utc: bool,
    /// What shows more than fits a terminal: auto (less), never, always, or a command; without the variable PAGER counts
    #[arg(long, value_name = "PAGER", default_value = "auto", env = "LOGQ_PAGER")]
    pub pager: Pager,
    /// The same as --pager never
    #[arg(long)]
    pub no_pager: bool,
    /// The first so many lines; with --follow it ends then
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// The last so many lines; with --follow those that are shown first (0: only what is new)
    #[arg(long, value_name = "NUMBER")]
    pub tail: Option<usize>,
    /// The newest line first, the newest 1000 unless --limit or --tail says how many
    #[arg(long)]
    pub reverse: bool,
    /// Also shows lines as they come, until Ctrl-C, after those of --since or the last --tail (10)
    #[arg(
        short = 'F',
        long,
        conflicts_with_all = ["reverse", "stats", "histogram", "top", "until", "around"]
    )]
    pub follow: bool,
    /// So long lines are held to be shown in order; what comes even later is shown when it comes
    #[arg(long, value_name = "LENGTH", default_value = "2s", value_parser = order_window)]
    pub order_window: Duration,
    /// Also so many older lines before each
    #[arg(short = 'B', long, value_name = "NUMBER")]
    pub before: Option<usize>,
    /// Also so many newer lines after each, also after the last one of --limit
    #[arg(short = 'A', long, value_name = "NUMBER")]
    pub after: Option<usize>,
    /// Both; -A and -B win over it
    #[arg(short = 'C', long, value_name = "NUMBER")]
    pub context: Option<usize>,
    /// How many lines there are by component and level, in place of the lines
    #[arg(long, conflicts_with_all = ["histogram", "top"])]
    pub stats: bool,
    /// How many lines there are over time, in place of the lines
    #[arg(long, conflicts_with = "top")]
    pub histogram: bool,
    /// The most frequent values of a field, in place of the lines: 20, or as many as --limit says
    #[arg(long, value_name = "FIELD")]
    pub top: Option<String>,
    /// What is asked for, in words and as OpenSearch's query or kubectl's commands, in place of the lines
    #[arg(long)]
    pub explain: bool,
}

impl Show {
    /// The option that chooses some of the lines that were found, or those around them.
    #[must_use]
    pub fn part(&self) -> Option<&'static str> {
        [
            ("limit", self.limit.is_some()),
            ("tail", self.tail.is_some()),
            ("reverse", self.reverse),
            ("before", self.before.is_some()),
            ("after", self.after.is_some()),
            ("context", self.context.is_some()),
        ]
        .into_iter()
        .find_map(|(name, is_given)| is_given.then_some(name))
    }
}

/// The form of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Pretty,
    /// The document, one JSON object a line
    Jsonl,
    /// The documents in one JSON array
    Json,
    /// key=value pairs
    Logfmt,
    /// As the program wrote it, where the source has that, else the message
    Raw,
}

/// Whether to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// A name of something in Kubernetes; none of them holds a comma.
fn name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a name has at least one character; * stands for any"),
        name => Ok(name.to_owned()),
    }
}

/// A photo's id.
fn photo(text: &str) -> Result<i64, &'static str> {
    text.trim()
        .parse()
        .map_err(|_| "a photo's id is a number, such as 17")
}

/// Levels, also as people know them. They are listed, so that help and completions tell them.
fn levels() -> impl TypedValueParser<Value = &'static str> {
    let names = schema::level::ALL.map(|name| match name {
        schema::level::WARN => PossibleValue::new(name).alias("warning"),
        schema::level::ERROR => PossibleValue::new(name).alias("err"),
        name => PossibleValue::new(name),
    });
    let read = names.clone();
    PossibleValuesParser::new(names).try_map(move |typed| {
        let level = read.iter().position(|name| name.matches(&typed, true));
        level
            .and_then(|at| schema::level::ALL.get(at).copied())
            .ok_or("no level")
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        Cli::command().debug_assert();
    }
}

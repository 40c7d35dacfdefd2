//! The options of a search.

use std::time::Duration;

use clap::builder::{BoolishValueParser, PossibleValue, PossibleValuesParser, TypedValueParser};
use clap::{ArgAction, Args, ValueEnum};

use crate::{follow::parse_order_window, pager::Pager, source::kubectl::KubectlProgram};

/// Which lines.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Select")]
pub struct SelectOptions {
    /// Component; * and ? are wildcards; repeatable
    #[arg(short, long = "component", value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub components: Vec<String>,
    /// Add lines of the database that these components use; searches their lines of any age for its name
    #[arg(long)]
    pub with_db: bool,
    /// Add lines of the broker that they use. With a trace or photo: broker lines about its pods' connections, from 5 s
    /// before the trace to 5 s after it, marked "related"; not with --follow
    #[arg(long)]
    pub with_queue: bool,
    /// Add lines of the object store that they use
    #[arg(long)]
    pub with_store: bool,
    /// Add lines of everything that they use
    #[arg(long)]
    pub with_all: bool,
    /// Namespace; the variable does not apply to files
    #[arg(
        short,
        long,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = parse_name,
        env = "LOGQ_NAMESPACE"
    )]
    pub namespace: Vec<String>,
    /// Label selector, as in kubectl
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    pub selector: Option<String>,
    /// Pod; * and ? are wildcards
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub pod: Vec<String>,
    /// Container
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub container: Vec<String>,
    /// Node
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub node: Vec<String>,
    /// Minimum level; omits lines without a level
    #[arg(long, value_name = "LEVEL", value_parser = level_parser(), ignore_case = true)]
    pub level: Option<&'static str>,
    /// Text in message, error, statement or stack trace; (?i) ignores case
    #[arg(short, long, value_name = "REGEX")]
    pub grep: Vec<String>,
    /// Omit lines with this text
    #[arg(short = 'v', long, value_name = "REGEX")]
    pub exclude: Vec<String>,
    /// Condition on a field: NAME=VALUE, !=, ~=, !~=, >, >=, <, <=, or "NAME exists"; quote a value to keep its spaces
    #[arg(short = 'f', long = "field", value_name = "CONDITION")]
    pub conditions: Vec<String>,
    /// Photo, with all lines of its traces; repeatable
    #[arg(long = "photo", value_name = "ID", value_delimiter = ',', value_parser = parse_photo_id)]
    pub photos: Vec<i64>,
    /// Trace: 32 hexadecimal digits or the first 8 or more; repeatable
    #[arg(long = "trace", value_name = "ID", value_delimiter = ',')]
    pub traces: Vec<String>,
}

/// The time range.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Time")]
pub struct TimeOptions {
    /// Start: 15m, 3h, 2d, 14:00, "yesterday 14:00", 2026-11-22, "2026-11-22 14:00 +02:00", RFC 3339 or all. Default: 1h
    /// ago; all for files, --photo, --trace, --tail and --reverse
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, env = "LOGQ_SINCE")]
    pub since: Option<String>,
    /// The default of `since`: the variable, the configuration file, or 1h.
    #[arg(skip)]
    pub default_since: Option<String>,
    /// `since` is the default, so older lines may exist.
    #[arg(skip)]
    pub is_default_since: bool,
    /// End
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
    /// One minute before and after this time, or the length in --since (15m)
    #[arg(
        long,
        value_name = "TIME",
        conflicts_with = "until",
        allow_hyphen_values = true
    )]
    pub around: Option<String>,
}

/// Where lines come from.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Source")]
pub struct SourceOptions {
    /// Source of the lines, unless you name files
    #[arg(
        id = "source",
        long = "source",
        value_name = "SOURCE",
        value_enum,
        default_value_t,
        env = "LOGQ_SOURCE"
    )]
    pub kind: SourceKind,
    #[command(flatten)]
    pub kubectl: KubectlProgram,
}

/// The source of lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum SourceKind {
    /// OpenSearch; pods if it is unreachable or has no lines of theirs
    #[default]
    Auto,
    /// OpenSearch
    Opensearch,
    /// Pods, with kubectl
    Kubectl,
    /// Both, without duplicates
    Both,
}

/// How to show lines.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Show")]
pub struct ShowOptions {
    /// Output format
    #[arg(short, long, value_enum, default_value_t, env = "LOGQ_OUTPUT")]
    pub output: Output,
    /// Colours
    #[arg(long, value_enum, default_value_t, env = "LOGQ_COLOR")]
    pub color: Colour,
    /// Show only these fields, separated by commas; * is a wildcard
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "LOGQ_FIELDS")]
    pub fields: Vec<String>,
    /// Hide these fields
    #[arg(long, value_name = "NAMES", value_delimiter = ',', env = "LOGQ_HIDE")]
    pub hide: Vec<String>,
    /// `fields` or `hide`, if the user typed one of them.
    #[arg(skip)]
    pub chooses_fields: Option<&'static str>,
    /// Show and read times in UTC
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
    /// Pager for a terminal: auto (PAGER or less), always, never, or a command
    #[arg(long, value_name = "PAGER", default_value = "auto", env = "LOGQ_PAGER")]
    pub pager: Pager,
    /// Same as --pager never
    #[arg(long)]
    pub no_pager: bool,
    /// First lines only; ends --follow
    #[arg(long, value_name = "NUMBER")]
    pub limit: Option<usize>,
    /// Last lines only; with --follow, existing lines to show first (0: only new lines)
    #[arg(long, value_name = "NUMBER")]
    pub tail: Option<usize>,
    /// Newest line first; at most 1000 lines unless --limit or --tail is set
    #[arg(long)]
    pub reverse: bool,
    /// Show new lines until Ctrl-C, after the existing ones of --since or --tail (default: 10)
    #[arg(
        short = 'F',
        long,
        conflicts_with_all = ["reverse", "stats", "histogram", "top", "until", "around"]
    )]
    pub follow: bool,
    /// Delay of --follow to sort lines by time; later lines appear on arrival
    #[arg(long, value_name = "LENGTH", default_value = "2s", value_parser = parse_order_window)]
    pub order_window: Duration,
    /// Lines of context before each match
    #[arg(short = 'B', long, value_name = "NUMBER")]
    pub before: Option<usize>,
    /// Lines of context after each match, also after the last one of --limit
    #[arg(short = 'A', long, value_name = "NUMBER")]
    pub after: Option<usize>,
    /// Lines of context before and after; -A and -B take precedence
    #[arg(short = 'C', long, value_name = "NUMBER")]
    pub context: Option<usize>,
    /// Count lines by component and level
    #[arg(long, conflicts_with_all = ["histogram", "top"])]
    pub stats: bool,
    /// Count lines over time
    #[arg(long, conflicts_with = "top")]
    pub histogram: bool,
    /// Most frequent values of a field: 20, or --limit
    #[arg(long, value_name = "FIELD")]
    pub top: Option<String>,
    /// Show the query in words, and as OpenSearch or kubectl receives it
    #[arg(long)]
    pub explain: bool,
}

impl ShowOptions {
    /// The first option that limits the lines or adds context to them.
    #[must_use]
    pub fn limiting_option(&self) -> Option<&'static str> {
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

/// The output format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    #[default]
    Pretty,
    /// One JSON object per line
    Jsonl,
    /// One JSON array
    Json,
    /// key=value pairs
    Logfmt,
    /// The original line, or the message if the source has no original
    Raw,
}

/// Whether to colour the output.
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

/// Parses the name of a Kubernetes object. Such a name contains no comma.
fn parse_name(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a name must not be empty; * matches every name"),
        name => Ok(name.to_owned()),
    }
}

fn parse_photo_id(text: &str) -> Result<i64, &'static str> {
    text.trim()
        .parse()
        .map_err(|_| "a photo id is a number, for example 17")
}

/// Accepts a level or a common alias. Help and completions list the levels.
fn level_parser() -> impl TypedValueParser<Value = &'static str> {
    let names = schema::level::ALL.map(|name| match name {
        schema::level::WARN => PossibleValue::new(name).alias("warning"),
        schema::level::ERROR => PossibleValue::new(name).alias("err"),
        name => PossibleValue::new(name),
    });
    let levels = names.clone();
    PossibleValuesParser::new(names).try_map(move |typed| {
        let level = levels.iter().position(|name| name.matches(&typed, true));
        level
            .and_then(|index| schema::level::ALL.get(index).copied())
            .ok_or("unknown level")
    })
}

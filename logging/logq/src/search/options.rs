//! The options of a search.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, builder::BoolishValueParser};

use super::{
    LineLimit,
    option_parsers::{level_parser, parse_name, parse_order_window, parse_photo_id, source_parser},
};
use crate::{
    kubernetes::ClusterOptions,
    pager::Pager,
    query::{Criteria, Dependencies, Dependency, Query, QueryError, TimeCriteria},
    render::{Colour, OutputFormat},
    source::{Backlog, ContextLines, FeedOptions, SOURCES, SourceRequest, SourceType},
    summary::{Histogram, Stats, Summary, SummaryError, Top},
    time::{ALL, Clock, DEFAULT_SINCE, is_all, parse_duration},
};

/// Number of existing lines that `--follow` shows first, as in `tail -f`.
const DEFAULT_TAIL: usize = 10;

pub(super) const DEFAULT_REVERSE_LIMIT: usize = 1000;

/// A search, and how to show its lines.
#[derive(Args, Clone, Debug)]
pub struct SearchOptions {
    /// Files and folders to read instead of OpenSearch, also .gz and .zst; - for standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub select: SelectOptions,
    #[command(flatten)]
    pub time: TimeOptions,
    #[command(flatten)]
    pub source: SourceOptions,
    #[command(flatten)]
    pub show: ShowOptions,
}

impl SearchOptions {
    /// # Errors
    /// [`QueryError`].
    pub fn query(&self) -> Result<Query, QueryError> {
        Query::new(&self.criteria(), &Clock::system(self.show.utc))
    }

    /// Whether standard input is read, which is possible only once.
    #[must_use]
    pub fn reads_pipe(&self) -> bool {
        self.files.iter().any(|file| file.as_os_str() == "-")
    }

    /// The existing lines that `--follow` shows first.
    #[must_use]
    pub fn backlog(&self) -> Backlog {
        match (self.show.tail, &self.time.since) {
            (Some(tail), _) => Backlog::Last(tail),
            (None, Some(_)) => Backlog::All,
            (None, None) => Backlog::Last(DEFAULT_TAIL),
        }
    }

    #[must_use]
    pub fn feed_options(&self) -> FeedOptions {
        FeedOptions {
            backlog: self.backlog(),
            context_lines: self.show.context_lines(),
        }
    }

    /// The summary to show instead of the lines, if any. A component named without wildcards has a row even without a
    /// line.
    ///
    /// # Errors
    /// [`SummaryError`].
    pub fn summary(&self) -> Result<Option<Summary>, SummaryError> {
        let show = &self.show;
        // `--limit` sets the number of values of `--top`.
        let part = show
            .limiting_option()
            .filter(|part| show.top.is_none() || *part != "limit");
        if let Some(part) = part.filter(|_| show.stats || show.histogram || show.top.is_some()) {
            return Err(SummaryError::Part(part));
        }
        if show.stats {
            let named = self.select.components.iter().map(String::as_str);
            let named = named.filter(|name| !name.contains(['*', '?']));
            return Ok(Some(Summary::Stats(Stats::with_components(named))));
        }
        if show.histogram {
            return Ok(Some(Summary::Histogram(Histogram::default())));
        }
        let Some(field) = &show.top else { return Ok(None) };
        if field.trim().is_empty() {
            return Err(SummaryError::Field(field.clone()));
        }
        Ok(Some(Summary::Top(Top::new(field.trim().to_owned(), show.limit))))
    }

    #[must_use]
    pub fn source_request(&self) -> SourceRequest {
        SourceRequest {
            files: self.files.clone(),
            kind: self.source.kind,
            cluster: self.source.cluster.clone(),
            namespaces: self.select.namespace.clone(),
            selector: self.select.selector.clone(),
        }
    }

    fn criteria(&self) -> Criteria {
        let select = self.select.clone();
        Criteria {
            dependencies: select.dependencies(),
            components: select.components,
            namespaces: select.namespace,
            pods: select.pod,
            containers: select.container,
            nodes: select.node,
            selector: select.selector,
            level: select.level,
            grep: select.grep,
            exclude: select.exclude,
            conditions: select.conditions,
            photos: select.photos,
            traces: select.traces,
            time: self.time.criteria(),
        }
    }

    /// Adds the default start time, unless the search is already limited: by a time, a photo, a trace, the number of
    /// last lines, or files.
    #[must_use]
    pub fn with_default_time(mut self) -> Self {
        let (time, show, select) = (&mut self.time, &self.show, &self.select);
        let has_time = time.since.is_some() || time.until.is_some() || time.around.is_some();
        let is_unlimited = !select.photos.is_empty()
            || !select.traces.is_empty()
            || show.tail.is_some()
            || show.reverse
            || show.follow;
        if has_time || is_unlimited || !self.files.is_empty() {
            return self;
        }
        time.is_default_since = time
            .default_since
            .as_deref()
            .is_some_and(|default_since| !is_all(default_since));
        time.since.clone_from(&time.default_since);
        self
    }
}

/// Which lines.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Select")]
pub struct SelectOptions {
    /// Component; * and ? are wildcards; repeatable
    #[arg(short, long = "component", value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    pub components: Vec<String>,
    /// Add lines of the database that these components use
    #[arg(long)]
    pub with_db: bool,
    /// Add lines of the broker that these components use. With a trace or photo: all lines of the broker from 5 s before the trace
    /// to 5 s after it; not with --follow
    #[arg(long)]
    pub with_queue: bool,
    /// Add lines of the object store that these components use
    #[arg(long)]
    pub with_store: bool,
    /// Same as --with-db --with-queue --with-store
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
    /// Lines around TIME; --since sets the length (default: 1m on each side)
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
        value_parser = source_parser(),
        default_value = SOURCES[0].name,
        env = "LOGQ_SOURCE"
    )]
    pub kind: &'static SourceType,
    #[command(flatten)]
    pub cluster: ClusterOptions,
}

/// How to show lines.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Show")]
pub struct ShowOptions {
    /// Output format
    #[arg(short, long, value_enum, default_value_t, env = "LOGQ_OUTPUT")]
    pub output: OutputFormat,
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
    /// Show the query in words, and as OpenSearch or Kubernetes receives it
    #[arg(long)]
    pub explain: bool,
}

impl SelectOptions {
    fn dependencies(&self) -> Dependencies {
        if self.with_all {
            return Dependencies::new(Dependency::ALL.into(), Some("with-all"));
        }
        let flags = [
            (self.with_db, "with-db", Dependency::Database),
            (self.with_queue, "with-queue", Dependency::Queue),
            (self.with_store, "with-store", Dependency::ObjectStore),
        ];
        let given = flags.into_iter().filter(|(is_given, ..)| *is_given);
        let option = given.clone().map(|(_, option, _)| option).next();
        Dependencies::new(given.map(|(.., dependency)| dependency).collect(), option)
    }
}

impl TimeOptions {
    /// A note that the default limits the search.
    pub(super) fn default_range_note(&self) -> Option<String> {
        let since = self.default_since.as_deref().filter(|_| self.is_default_since)?;
        let range = if since == DEFAULT_SINCE {
            "of the last hour".to_owned()
        } else if parse_duration(since).is_some() {
            format!("of the last {since}")
        } else {
            format!("since {since}")
        };
        Some(format!(
            "only lines {range} were searched: use --since 1d or --since {ALL}"
        ))
    }

    #[must_use]
    pub fn criteria(&self) -> TimeCriteria {
        TimeCriteria {
            since: self.since.clone(),
            until: self.until.clone(),
            around: self.around.clone(),
        }
    }
}

impl ShowOptions {
    /// With `--reverse`, the newest matches are shown.
    #[must_use]
    pub fn line_limit(&self) -> LineLimit {
        match (self.reverse, self.limit, self.tail) {
            (true, limit, tail) => LineLimit::Last(tail.or(limit).unwrap_or(DEFAULT_REVERSE_LIMIT)),
            (false, Some(limit), _) => LineLimit::First(limit),
            (false, None, Some(tail)) => LineLimit::Last(tail),
            (false, None, None) => LineLimit::All,
        }
    }

    #[must_use]
    pub fn context_lines(&self) -> ContextLines {
        let lines = |lines: Option<usize>| lines.or(self.context).unwrap_or(0);
        ContextLines {
            before: lines(self.before),
            after: lines(self.after),
        }
    }

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

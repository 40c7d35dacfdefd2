//! From words to what is asked for: what is typed, then what is settled.

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory, FromArgMatches, parser::ValueSource};

use super::{Cli, Command, Search};
use crate::config::Config;

/// How far back is looked in OpenSearch where nothing is said of time.
pub const USUAL_SINCE: &str = "1h";

/// `--since all`: from the beginning.
pub const ALL: &str = "all";

/// Reads a command line.
///
/// # Errors
/// clap's: a mistake, or a wish for help.
pub fn read<T: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = T>,
    config: &Config,
) -> Result<Cli, clap::Error> {
    let mut command = config.applied(Cli::command());
    let matches = command.try_get_matches_from_mut(words)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    settle(&mut cli.search, &matches);
    if let (Some(Command::Trace { search, .. }), Some(matches)) =
        (&mut cli.command, matches.subcommand_matches("trace"))
    {
        settle(search, matches);
    }
    Ok(cli)
}

/// What is settled once is meant for what is stored, not for a file that is
/// named now.
fn settle(search: &mut Search, matches: &ArgMatches) {
    let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    if !typed("since") {
        let usual = search.window.since.take();
        search.window.usual = Some(usual.unwrap_or_else(|| USUAL_SINCE.to_owned()));
    }
    if !typed("namespace") && !search.files.is_empty() {
        search.select.namespace.clear();
    }
}

impl Search {
    /// The same, from the usual time on if nothing is said of time and any
    /// amount could be found. What a photo or a trace left, the last lines,
    /// and files that are named are looked for in all there is.
    #[must_use]
    pub fn with_usual_time(mut self) -> Self {
        let (window, show, select) = (&mut self.window, &self.show, &self.select);
        let said = window.since.is_some() || window.until.is_some() || window.around.is_some();
        let few = select.photo.is_some()
            || select.trace.is_some()
            || show.tail.is_some()
            || show.reverse
            || show.follow;
        if said || few || !self.files.is_empty() {
            return self;
        }
        window.is_usual = window.usual.as_deref().is_some_and(|usual| usual != ALL);
        window.since.clone_from(&window.usual);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(words: &str, settled: Option<&'static str>) -> Option<String> {
        let config = Config::without_file(Box::new(|_| None));
        let mut search = read(words.split(' '), &config).unwrap().search;
        if let Some(settled) = settled {
            search.window.usual = Some(settled.to_owned());
        }
        search.with_usual_time().window.since
    }

    #[test]
    fn where_nothing_is_said_of_time_it_is_the_last_hour() {
        for (words, meant) in [
            ("logq", Some("1h")),
            ("logq -c irmgard --level warn --stats", Some("1h")),
            ("logq --limit 3", Some("1h")),
            ("logq --since 3h", Some("3h")),
            ("logq --since all", Some("all")),
            ("logq --until 3h", None),
            ("logq --around 14:00", None),
            ("logq --photo 17", None),
            ("logq --trace 4bf92f35", None),
            ("logq --tail 20", None),
            ("logq --reverse", None),
            ("logq -F", None),
            ("logq pods/", None),
        ] {
            assert_eq!(since(words, None).as_deref(), meant, "{words}");
        }
        assert_eq!(since("logq", Some("2d")).as_deref(), Some("2d"));
    }
}

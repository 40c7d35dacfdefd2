//! Parses the command line and applies defaults.

use std::ffi::OsString;

use clap::{ArgMatches, CommandFactory, FromArgMatches, error::ErrorKind, parser::ValueSource};

use super::{Cli, LogqCommand, views};
use crate::{config::Config, search::SearchOptions, suggestion::nearest, time::DEFAULT_SINCE};

const NAME: &str = "logq";

/// Parses a command line. Rejects a repeated single-value option.
///
/// # Errors
/// clap's error, or its help output.
pub fn parse<T: Into<OsString> + Clone>(
    words: impl IntoIterator<Item = T>,
    config: &Config,
) -> Result<Cli, clap::Error> {
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let command = config.apply_defaults(Cli::command());
    let typed = try_parse(&words, command.clone());
    match &typed {
        Ok(cli) if !names_no_file(cli) => return typed,
        Err(error) if !error.use_stderr() => return typed,
        Ok(_) | Err(_) => {}
    }
    // A command may follow options.
    let mut refused = None;
    for words in with_command_first(&words, &command) {
        match try_parse(&words, command.clone()) {
            Err(error) if error.use_stderr() => refused = refused.or(Some(error)),
            read => return read,
        }
    }
    let cli = typed?;
    match refused.or_else(|| suggest_command(&cli, command, config)) {
        Some(error) => Err(error),
        None => Ok(cli),
    }
}

/// Parses the options of a view and additional options, which take precedence.
///
/// # Errors
/// clap's error.
pub fn parse_with_view(
    view: &[String],
    typed: &[String],
    config: &Config,
) -> Result<SearchOptions, clap::Error> {
    let words = |options: &[&[String]]| -> Vec<OsString> {
        let name = OsString::from(NAME);
        let options = options.concat().into_iter().map(OsString::from);
        std::iter::once(name).chain(options).collect()
    };
    let command = config.apply_defaults(Cli::command());
    try_parse(&words(&[typed]), command.clone())?;
    let both = try_parse(&words(&[view, typed]), command.args_override_self(true))?;
    Ok(both.search)
}

fn try_parse(words: &[OsString], mut command: clap::Command) -> Result<Cli, clap::Error> {
    let matches = command.try_get_matches_from_mut(words)?;
    let mut cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
    apply_defaults(&mut cli.search, &matches);
    if let (Some(LogqCommand::Trace { id, search }), Some(matches)) =
        (&mut cli.command, matches.subcommand_matches("trace"))
    {
        let select = &mut search.select;
        match id.take() {
            Some(id) if select.photos.is_empty() && select.traces.is_empty() => {
                select.traces.push(id.to_string_lossy().into_owned());
            }
            // --photo or --trace already selects the trace, so this is a file.
            Some(file) => search.files.insert(0, file.into()),
            None => {}
        }
        apply_defaults(search, matches);
    }
    Ok(cli)
}

/// Whether the first positional argument is neither a file nor `-`.
fn names_no_file(cli: &Cli) -> bool {
    let first = cli.search.files.first().filter(|_| cli.command.is_none());
    first.is_some_and(|file| file.as_os_str() != "-" && !file.exists())
}

/// The arguments with a command moved to the front, for each argument that is the name of a command.
fn with_command_first<'w>(
    words: &'w [OsString],
    command: &'w clap::Command,
) -> impl Iterator<Item = Vec<OsString>> + 'w {
    let ends = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let names = (2..ends).filter(|at| {
        let word = words.get(*at).and_then(|word| word.to_str());
        word.is_some_and(|word| command.find_subcommand(word).is_some())
    });
    names.map(|at| {
        let (before, rest) = words.split_at(at);
        let (program, options) = before.split_at(1);
        // `view` takes a name.
        let name = if rest.first().is_some_and(|word| word == "view") {
            rest.len().min(2)
        } else {
            1
        };
        let (name, rest) = rest.split_at(name);
        [program, name, options, rest].concat()
    })
}

/// Suggests a command or a view if the first positional argument is no file.
fn suggest_command(cli: &Cli, mut command: clap::Command, config: &Config) -> Option<clap::Error> {
    command.build();
    let typed = cli.search.files.first()?.to_str()?;
    let views = views(config);
    let commands = command.get_subcommands().map(|known| known.get_name().to_owned());
    let views = views.iter().map(|view| format!("view {}", view.name));
    let called = |name: &str| name.strip_prefix("view ").unwrap_or(name).to_owned();
    let all: Vec<String> = commands.chain(views).collect();
    let names: Vec<String> = all.iter().map(|name| called(name)).collect();
    let near = nearest(typed, names.iter().map(String::as_str))?;
    let suggestion = all.iter().find(|name| called(name) == near)?;
    let typed = terminal::escaped(typed);
    let text = format!("{typed:?} is neither a command nor a file; did you mean `logq {suggestion}`?");
    Some(command.error(ErrorKind::InvalidSubcommand, text))
}

/// Configured values apply to stored lines, not to files on the command line.
fn apply_defaults(search: &mut SearchOptions, matches: &ArgMatches) {
    let typed = |id| matches.value_source(id) == Some(ValueSource::CommandLine);
    if !typed("since") {
        let default_since = search.time.since.take();
        search.time.default_since = Some(default_since.unwrap_or_else(|| DEFAULT_SINCE.to_owned()));
    }
    if !typed("namespace") && !search.files.is_empty() {
        search.select.namespace.clear();
    }
    search.show.chooses_fields = ["fields", "hide"].into_iter().find(|option| typed(option));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(words: &str, settled: Option<&'static str>) -> Option<String> {
        let config = Config::without_file(Box::new(|_| None));
        let mut search = parse(words.split(' '), &config).unwrap().search;
        if let Some(settled) = settled {
            search.time.default_since = Some(settled.to_owned());
        }
        search.with_default_time().time.since
    }

    #[test]
    fn default_range_is_the_last_hour() {
        for (words, expected) in [
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
            assert_eq!(since(words, None).as_deref(), expected, "{words}");
        }
        assert_eq!(since("logq", Some("2d")).as_deref(), Some("2d"));
    }
}

//! Shows what the components log.

use std::{
    io::{self, BufWriter, ErrorKind, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use logq::{
    admin::Admin,
    cli::{self, Cli, Colour, Command, Search, expanded, time::Clock},
    config::{self, Config, ConfigError},
    doctor::{self, Doctor},
    follow::{self, NoFollow, Told},
    import::{self, Following, import},
    opensearch::Client,
    pager::{self, Pager},
    plan::Wanted,
    render::{Chosen, Palette, Renderer, Style, waterfall},
    search::{self, Outcome, SearchError},
    source,
};

use tokio::{
    runtime::{self, Runtime},
    signal::unix::{SignalKind, signal},
};

/// Lines were found, or nothing was asked for that could be missing.
const FOUND: u8 = 0;
/// No line was found.
const NOTHING: u8 = 1;
/// Something went wrong.
const ERROR: u8 = 2;

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

fn main() -> ExitCode {
    let code = match settled()
        .map_err(SearchError::from)
        .and_then(|(cli, config)| run(cli, &config))
    {
        Ok(outcome) => told(&outcome),
        // Whoever read the output has seen enough.
        Err(SearchError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => FOUND,
        Err(error) => {
            // One line for each of several mistakes.
            for line in error.to_string().lines() {
                say(&format!("error: {line}"));
            }
            ERROR
        }
    };
    ExitCode::from(code)
}

/// What is typed, and what is settled beside it.
fn settled() -> Result<(Cli, Config), ConfigError> {
    let typed: Vec<_> = std::env::args_os().collect();
    let (path, words) = config::named(typed)?;
    // What is no UTF-8 is not what was meant, and is told as such by who reads it.
    let environment = Box::new(|name: &str| Some(std::env::var_os(name)?.to_string_lossy().into_owned()));
    match Config::read(path.as_deref(), environment, &Cli::command()) {
        Ok(config) => {
            let cli = cli::read(words, &config).unwrap_or_else(|error| error.exit());
            Ok((cli, config))
        }
        Err(mistakes) => {
            // Help is given all the same.
            if let Err(error) = Cli::try_parse_from(words)
                && !error.use_stderr()
            {
                error.exit();
            }
            Err(mistakes)
        }
    }
}

fn run(cli: Cli, config: &Config) -> Result<Outcome, SearchError> {
    match cli.command {
        None => lines(cli.search, config),
        Some(Command::View { arguments }) if arguments.is_empty() => list_views(config),
        Some(Command::View { arguments }) => lines(expanded(&arguments, config)?, config),
        Some(Command::Trace { id, search }) => trace(id, *search, config),
        Some(Command::Import {
            files,
            follow,
            positions,
        }) => bring(&files, follow, positions.as_deref(), config),
        Some(Command::Admin(task)) => administer(&task, config),
        Some(Command::Doctor(asked)) => examine(&asked, config),
        Some(Command::Config) => {
            let mut out = BufWriter::new(io::stdout().lock());
            config::show(config, &Cli::command(), &mut out)?;
            out.flush()?;
            Ok(Outcome::something())
        }
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "logq", &mut script);
            io::stdout().write_all(&script)?;
            Ok(Outcome::something())
        }
    }
}

fn client(config: &Config) -> Result<Client, SearchError> {
    Ok(Client::new(&config.opensearch()?)?)
}

/// Who is asked; what a person should know of the choice is said at once.
fn source(search: &Search, wanted: &Wanted, config: &Config) -> Result<source::Chosen, SearchError> {
    let chosen = source::choose(search, wanted, &|| config.opensearch())?;
    for note in &chosen.notes {
        say(note);
    }
    Ok(chosen)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

fn administer(task: &Admin, config: &Config) -> Result<Outcome, SearchError> {
    runtime()?.block_on(task.run(&client(config)?, &mut io::stdout()))?;
    Ok(Outcome::something())
}

fn examine(asked: &Doctor, config: &Config) -> Result<Outcome, SearchError> {
    let report = runtime()?.block_on(doctor::examine(asked, config));
    let mut out = BufWriter::new(io::stdout().lock());
    match asked.output {
        doctor::Form::Pretty => report.write(&palette(asked.color), &mut out)?,
        doctor::Form::Json => writeln!(out, "{}", terminal::escaped(&report.json().to_string()))?,
    }
    out.flush()?;
    Ok(Outcome {
        status: Some(report.status()),
        ..Outcome::default()
    })
}

fn bring(
    files: &[PathBuf],
    follow: bool,
    positions: Option<&Path>,
    config: &Config,
) -> Result<Outcome, SearchError> {
    let client = client(config)?;
    let imported = runtime()?.block_on(async {
        if !follow {
            return Ok(import(&client, files).await?);
        }
        let (mut terminate, mut interrupt) =
            (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let following = Following {
            paths: files,
            positions,
        };
        Ok::<_, SearchError>(import::follow(&client, &following, &mut |text| say(text), stop).await?)
    })?;
    let mut outcome = Outcome::something();
    outcome.notes.push(format!(
        "{} lines stored, {} known before",
        imported.stored, imported.known
    ));
    outcome.errors = imported.errors;
    if imported.refused > 0 {
        let reason = imported.reason.unwrap_or_default();
        outcome
            .errors
            .push(format!("{} lines refused, the first: {reason}", imported.refused));
    }
    Ok(outcome)
}

fn lines(search: Search, config: &Config) -> Result<Outcome, SearchError> {
    follow::check(&search.show)?;
    let search = &search.with_usual_time();
    let wanted = wanted(search)?;
    if search.show.explain {
        let source = if search.files.is_empty() {
            Some(source(search, &wanted, config)?)
        } else {
            None
        };
        return search::explain(
            search,
            &wanted,
            source.as_ref().map(|chosen| &chosen.source),
            &mut output(search),
        );
    }
    let style = Style {
        output: search.show.output,
        palette: palette(search.show.color),
        utc: search.show.utc,
        chosen: Chosen::new(&search.show.fields, &search.show.hide)?,
        terminal: io::stdout().is_terminal(),
    };
    if search.show.follow {
        let feed = if search.files.is_empty() {
            follow::of(source(search, &wanted, config)?.source, search, &wanted)?
        } else {
            source::files::follow(search, &wanted)
        };
        let told = Told {
            say: &mut say,
            is_gone: &follow::is_gone,
        };
        return follow::run(search, &wanted, feed, Renderer::new(output(search), style), told);
    }
    if search.files.is_empty() {
        // What is said of the choice is said before a pager has the terminal.
        let chosen = source(search, &wanted, config)?;
        let out = Renderer::new(output(search), style);
        return search::source::lines(search, &wanted, &chosen, out);
    }
    let out = Renderer::new(output(search), style);
    search::files::lines(search, &wanted, out)
}

fn trace(id: String, mut search: Search, config: &Config) -> Result<Outcome, SearchError> {
    if search.show.follow {
        return Err(NoFollow::Waterfall.into());
    }
    search.select.trace = Some(id);
    let show = &search.show;
    let is_drawn = matches!(show.output, cli::Output::Pretty) && !show.explain;
    if !is_drawn || show.stats || show.histogram || show.top.is_some() {
        return lines(search, config);
    }
    let wanted = wanted(&search)?;
    let (entries, mut outcome) = if search.files.is_empty() {
        search::source::trace(&wanted, &source(&search, &wanted, config)?)?
    } else {
        search::files::trace(&search, &wanted)?
    };
    let mut out = output(&search);
    waterfall::draw(&entries, &palette(search.show.color), search.show.utc, &mut out)?;
    out.flush()?;
    let untimed = entries
        .iter()
        .filter(|entry| entry.document.timestamp().is_none())
        .count();
    if untimed > 0 {
        outcome.notes.push(format!(
            "{untimed} lines without a time are not drawn: logq --trace shows them"
        ));
    }
    Ok(outcome)
}

fn list_views(config: &Config) -> Result<Outcome, SearchError> {
    let mut out = BufWriter::new(io::stdout().lock());
    let views = cli::views(config);
    let width = views.iter().map(|view| view.name.len()).max().unwrap_or(0);
    for view in views {
        let about = terminal::escaped(&view.about);
        let place = view.place.as_ref().map(|place| format!("({place})"));
        let shown = [about, place.unwrap_or_default()].join(" ");
        writeln!(out, "{:<width$}  {}", view.name, shown.trim())?;
        writeln!(out, "{:<width$}  logq {}", "", terminal::escaped(&view.typed()))?;
    }
    out.flush()?;
    Ok(Outcome::something())
}

fn wanted(search: &Search) -> Result<Wanted, SearchError> {
    let clock = Clock::system(search.show.utc);
    Ok(Wanted::of(&search.select, &search.window, &clock)?)
}

fn palette(colour: Colour) -> Palette {
    let coloured = match colour {
        Colour::Always => true,
        Colour::Never => false,
        Colour::Auto => {
            io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        }
    };
    if coloured {
        Palette::TERMINAL
    } else {
        Palette::NONE
    }
}

/// Standard output, or the person's pager.
fn output(search: &Search) -> BufWriter<pager::Output> {
    let show = &search.show;
    let pager = if show.no_pager { &Pager::Never } else { &show.pager };
    // What comes of a pipe is shown as it comes.
    let piped = search.files.iter().any(|file| file.as_os_str() == "-");
    let people = matches!(show.output, cli::Output::Pretty) && !piped && !show.follow;
    let (out, note) = pager::Output::new(pager, io::stdout().is_terminal(), people);
    if let Some(note) = note {
        say(&note);
    }
    BufWriter::with_capacity(BUFFER_BYTES, out)
}

/// Says what a person should know beside the lines; returns the exit status.
fn told(outcome: &Outcome) -> u8 {
    for note in &outcome.notes {
        say(note);
    }
    for error in &outcome.errors {
        say(&format!("error: {error}"));
    }
    if outcome.shown < outcome.found {
        say(&format!("{} of {} lines shown", outcome.shown, outcome.found));
    }
    if let Some(status) = outcome.status {
        status
    } else if !outcome.errors.is_empty() {
        ERROR
    } else if outcome.found > 0 {
        FOUND
    } else {
        if outcome.notes.is_empty() {
            say("no line found; --explain says what was looked for, `logq doctor` whether lines arrive");
        }
        NOTHING
    }
}

fn say(text: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "logq: {}", terminal::escaped(text));
}

//! Shows what the components log.

use std::{
    io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use logq::{
    admin::Admin,
    cli::{self, Cli, Colour, Command, Search, expanded, time::Clock},
    follow::{self, NoFollow, Told},
    import::{self, Following, import},
    opensearch::{Client, Settings},
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
    let cli = Cli::parse();
    let code = match run(cli) {
        Ok(outcome) => told(&outcome),
        // Whoever read the output has seen enough.
        Err(SearchError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => FOUND,
        Err(error) => {
            say(&format!("error: {error}"));
            ERROR
        }
    };
    ExitCode::from(code)
}

fn run(cli: Cli) -> Result<Outcome, SearchError> {
    match cli.command {
        None => lines(&cli.search),
        Some(Command::View { arguments }) if arguments.is_empty() => list_views(),
        Some(Command::View { arguments }) => lines(&expanded(&arguments)?),
        Some(Command::Trace { id, search }) => trace(id, *search),
        Some(Command::Import {
            files,
            follow,
            positions,
        }) => bring(&files, follow, positions.as_deref()),
        Some(Command::Admin(task)) => administer(&task),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "logq", &mut io::stdout());
            Ok(Outcome::something())
        }
    }
}

fn client() -> Result<Client, SearchError> {
    let settings = Settings::read(&|name| std::env::var(name).ok())?;
    Ok(Client::new(&settings)?)
}

/// Who is asked; what a person should know of the choice is said at once.
fn source(search: &Search, wanted: &Wanted) -> Result<source::Chosen, SearchError> {
    let chosen = source::choose(search, wanted, &|name| std::env::var(name).ok())?;
    for note in &chosen.notes {
        say(note);
    }
    Ok(chosen)
}

fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

fn administer(task: &Admin) -> Result<Outcome, SearchError> {
    runtime()?.block_on(task.run(&client()?, &mut io::stdout()))?;
    Ok(Outcome::something())
}

fn bring(files: &[PathBuf], follow: bool, positions: Option<&Path>) -> Result<Outcome, SearchError> {
    let client = client()?;
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

fn lines(search: &Search) -> Result<Outcome, SearchError> {
    follow::check(&search.show)?;
    let wanted = wanted(search)?;
    if search.show.explain {
        let source = if search.files.is_empty() {
            Some(source(search, &wanted)?)
        } else {
            None
        };
        return search::explain(
            search,
            &wanted,
            source.as_ref().map(|chosen| &chosen.source),
            &mut output(),
        );
    }
    let style = Style {
        output: search.show.output,
        palette: palette(search),
        utc: search.show.utc,
        chosen: Chosen::new(&search.show.fields, &search.show.hide)?,
        terminal: io::stdout().is_terminal(),
    };
    let out = Renderer::new(output(), style);
    if search.show.follow {
        let feed = if search.files.is_empty() {
            follow::of(source(search, &wanted)?.source, search, &wanted)?
        } else {
            follow::of_files(search, &wanted)?
        };
        let told = Told {
            say: &mut say,
            is_gone: &follow::is_gone,
        };
        return follow::run(search, &wanted, feed, out, told);
    }
    if search.files.is_empty() {
        return search::source::lines(search, &wanted, &source(search, &wanted)?, out);
    }
    search::files::lines(search, &wanted, out)
}

fn trace(id: String, mut search: Search) -> Result<Outcome, SearchError> {
    if search.show.follow {
        return Err(NoFollow::Waterfall.into());
    }
    search.select.trace = Some(id);
    let wanted = wanted(&search)?;
    let (entries, outcome) = if search.files.is_empty() {
        search::source::trace(&wanted, &source(&search, &wanted)?)?
    } else {
        search::files::trace(&search, &wanted)?
    };
    let mut out = output();
    waterfall::draw(&entries, &palette(&search), search.show.utc, &mut out)?;
    out.flush()?;
    Ok(outcome)
}

fn list_views() -> Result<Outcome, SearchError> {
    let mut out = output();
    for (name, meaning, options) in cli::views() {
        writeln!(out, "{name:<14} {meaning}\n               logq {options}")?;
    }
    out.flush()?;
    Ok(Outcome::something())
}

fn wanted(search: &Search) -> Result<Wanted, SearchError> {
    let clock = Clock::system(search.show.utc);
    Ok(Wanted::of(&search.select, &search.window, &clock)?)
}

fn palette(search: &Search) -> Palette {
    let coloured = match search.show.color {
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

fn output() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock())
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
    if !outcome.errors.is_empty() {
        ERROR
    } else if outcome.found > 0 {
        FOUND
    } else {
        NOTHING
    }
}

fn say(text: &str) {
    // Nobody can be told that standard error is gone.
    let _ = writeln!(io::stderr(), "logq: {}", terminal::escaped(text));
}

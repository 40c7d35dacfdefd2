//! Shows what the components log.

use std::{
    io::{self, BufWriter, ErrorKind, IsTerminal, StdoutLock, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser};
use logq::{
    admin::{self, Admin},
    cli::{self, Cli, Colour, Command, Search, expanded, time::Clock},
    opensearch::{Client, Settings},
    plan::Wanted,
    render::{Chosen, Palette, Renderer, Style, waterfall},
    search::{self, Outcome, SearchError},
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
        None => lines(&with_input(cli.search)?),
        Some(Command::View { arguments }) if arguments.is_empty() => list_views(),
        Some(Command::View { arguments }) => lines(&with_input(expanded(&arguments)?)?),
        Some(Command::Trace { id, search }) => trace(id, with_input(*search)?),
        Some(Command::Admin(task)) => administer(&task),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "logq", &mut io::stdout());
            Ok(Outcome::something())
        }
    }
}

fn administer(task: &Admin) -> Result<Outcome, SearchError> {
    let settings = Settings::read(&|name| std::env::var(name).ok())?;
    let client = Client::new(&settings).map_err(admin::Error::from)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(task.run(&client, &mut io::stdout()))?;
    Ok(Outcome::something())
}

fn lines(search: &Search) -> Result<Outcome, SearchError> {
    let wanted = wanted(search)?;
    let style = Style {
        output: search.show.output,
        palette: palette(search),
        utc: search.show.utc,
        chosen: Chosen::new(&search.show.fields, &search.show.hide)?,
        terminal: io::stdout().is_terminal(),
    };
    search::files(search, &wanted, Renderer::new(output(), style))
}

fn trace(id: String, mut search: Search) -> Result<Outcome, SearchError> {
    search.select.trace = Some(id);
    let (entries, outcome) = search::trace(&search, &wanted(&search)?)?;
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

/// Without files, standard input is read if something is piped into it.
fn with_input(mut search: Search) -> Result<Search, SearchError> {
    if search.files.is_empty() {
        if io::stdin().is_terminal() {
            return Err(SearchError::NoInput);
        }
        search.files.push("-".into());
    }
    Ok(search)
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

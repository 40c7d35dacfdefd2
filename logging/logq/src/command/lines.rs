//! Lines, and traces, by the source that was chosen.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::AsFd,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{SFlag, fstat},
};

use super::{say, undecided::Undecided};
use crate::{
    cli::{self, Search, Select, time::Clock},
    config::Config,
    follow::{self, NoFollow, Told},
    pager::{self, Pager},
    plan::{Unclear, Wanted},
    render::{Chosen, Page, Palette, Renderer, Style, Waterfall},
    search::{self, Outcome, SearchError},
    source,
};

/// Bytes that are written at a time.
const BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn lines(search: Search, config: &Config) -> Result<Outcome, SearchError> {
    let Select { photos, traces, .. } = &search.select;
    let is_named = !search.files.is_empty() || search.asked.source != cli::From::Auto;
    // Who asks for one photo after the other has a loop, whose list is waiting there.
    let may_be_meant = !is_named && photos.is_empty() && traces.is_empty();
    let done = asked(search, config);
    // Looked at last, for who writes there may have begun later. It is never waited for: under cron, ssh and CI it
    // can be a pipe that stays open.
    if may_be_meant && input_waits() {
        say("what comes by standard input was not read: logq - reads it");
    }
    done
}

/// Whether standard input is a pipe in which something waits.
fn input_waits() -> bool {
    let input = io::stdin();
    let kind = fstat(&input).map(|about| SFlag::from_bits_truncate(about.st_mode) & SFlag::S_IFMT);
    let mut fds = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
    kind == Ok(SFlag::S_IFIFO)
        && poll(&mut fds, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
        && fds
            .iter()
            .filter_map(PollFd::revents)
            .any(|events| events.contains(PollFlags::POLLIN))
}

fn asked(search: Search, config: &Config) -> Result<Outcome, SearchError> {
    follow::check(&search.show)?;
    let search = &search.with_usual_time();
    let wanted = wanted(search)?;
    note_names(search, &wanted, without_fields(&search.show));
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
        palette: Palette::of(search.show.color),
        utc: search.show.utc,
        chosen: Chosen::new(&search.show.fields, &search.show.hide)?,
        terminal: io::stdout().is_terminal(),
    };
    if search.show.follow {
        let clock = Clock::system(search.show.utc);
        wanted
            .span
            .doubt(&search.window, &clock)
            .iter()
            .for_each(|note| say(note));
        let feed = if search.files.is_empty() {
            let chosen = source(search, &wanted, config)?;
            // The source never changes while it is followed, so check it now.
            let chosen = fall_back(search, &wanted, &chosen).unwrap_or(chosen);
            follow::of(chosen.source, search, &wanted)?
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
        let mut out = Undecided::new(output(search));
        let ask = |chosen: &source::Chosen, out: &mut Undecided<_>| {
            search::source::lines(search, &wanted, chosen, Renderer::new(out, style.clone()))
        };
        let mut answer = ask(&chosen, &mut out);
        if answer.as_ref().is_ok_and(is_nothing)
            && let Some(pods) = fall_back(search, &wanted, &chosen)
        {
            out.discard();
            answer = ask(&pods, &mut out);
        }
        // Also what was found before an error.
        out.release()?;
        out.flush()?;
        return answer;
    }
    let out = Renderer::new(output(search), style);
    search::files::lines(search, &wanted, out)
}

pub(super) fn traces(search: Search, config: &Config) -> Result<Outcome, SearchError> {
    if search.show.follow {
        return Err(NoFollow::Waterfall.into());
    }
    if search.select.photos.is_empty() && search.select.traces.is_empty() {
        return Err(Unclear::NoTrace.into());
    }
    let show = &search.show;
    let is_drawn = matches!(show.output, cli::Output::Pretty) && !show.explain;
    if !is_drawn || show.stats || show.histogram || show.top.is_some() {
        return lines(search, config);
    }
    if let Some(option) = show.part() {
        return Err(Unclear::Whole(option).into());
    }
    let wanted = wanted(&search)?;
    note_names(&search, &wanted, Some("a waterfall"));
    let (traces, mut outcome) = if search.files.is_empty() {
        let chosen = source(&search, &wanted, config)?;
        let (traces, outcome) = search::source::traces(&search, &wanted, &chosen)?;
        let pods = is_nothing(&outcome).then(|| fall_back(&search, &wanted, &chosen));
        match pods.flatten() {
            Some(pods) => search::source::traces(&search, &wanted, &pods)?,
            None => (traces, outcome),
        }
    } else {
        search::files::traces(&search, &wanted)?
    };
    let mut out = output(&search);
    let waterfall = Waterfall {
        palette: Palette::of(search.show.color),
        utc: search.show.utc,
        page: Page::of_output(),
    };
    for (number, entries) in traces.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        waterfall.draw(entries, &mut out)?;
    }
    out.flush()?;
    let untimed = traces
        .iter()
        .flatten()
        .filter(|entry| entry.document.timestamp().is_none())
        .count();
    if untimed > 0 {
        outcome.notes.push(format!(
            "{untimed} lines without a time are not drawn: logq --trace shows them"
        ));
    }
    Ok(outcome)
}

fn is_nothing(outcome: &Outcome) -> bool {
    outcome.found == 0 && outcome.errors.is_empty()
}

/// The pods in place of an OpenSearch that has never had their lines; says so.
fn fall_back(search: &Search, wanted: &Wanted, chosen: &source::Chosen) -> Option<source::Chosen> {
    match source::fall_back_to_pods(search, wanted, chosen) {
        Ok(pods) => {
            pods.iter()
                .flat_map(|pods| &pods.notes)
                .for_each(|note| say(note));
            pods
        }
        Err(error) => {
            say(&format!(
                "OpenSearch has no line of a component that is asked for, of any time. Its pods may have some: {error}; --source kubectl waits for it"
            ));
            None
        }
    }
}

/// Says which names of fields, and which options for them, change nothing. `form` is one in which no fields are chosen.
fn note_names(search: &Search, wanted: &Wanted, form: Option<&str>) {
    for note in search::unknown_names(&search.show, wanted) {
        say(&note);
    }
    if let (Some(option), Some(form)) = (search.show.chooses_fields, form) {
        say(&format!("--{option} changes nothing in {form}"));
    }
}

/// The form in which no fields are chosen, if it is one.
fn without_fields(show: &cli::Show) -> Option<&'static str> {
    let forms = [
        ("--stats", show.stats),
        ("--histogram", show.histogram),
        ("--top", show.top.is_some()),
        ("-o raw", matches!(show.output, cli::Output::Raw)),
    ];
    forms
        .into_iter()
        .find_map(|(form, is_asked)| is_asked.then_some(form))
}

/// Who is asked; what a person should know of the choice is said at once.
fn source(search: &Search, wanted: &Wanted, config: &Config) -> Result<source::Chosen, SearchError> {
    let chosen = source::choose(search, wanted, &|| config.opensearch())?;
    // Whoever reads the lines by a program knows where they come from.
    let people = matches!(search.show.output, cli::Output::Pretty) || io::stdout().is_terminal();
    for note in chosen.way.iter().filter(|_| people).chain(&chosen.notes) {
        say(note);
    }
    Ok(chosen)
}

fn wanted(search: &Search) -> Result<Wanted, SearchError> {
    let clock = Clock::system(search.show.utc);
    Ok(Wanted::of(&search.select, &search.window, &clock)?)
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

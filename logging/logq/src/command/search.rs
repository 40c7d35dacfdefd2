//! Searches and traces.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::AsFd,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{SFlag, fstat},
};

use super::{fallback_buffer::FallbackBuffer, print_diagnostic};
use crate::{
    cli::{self, Search, SelectOptions, time::Clock},
    config::Config,
    follow::{self, FollowError, StatusSink},
    pager::{self, Pager},
    query::{Query, QueryError},
    render::{FieldSelection, OutputWidth, Palette, Renderer, Style, Waterfall},
    search::{self, RunReport, SearchError},
    source,
};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn run(search: Search, config: &Config) -> Result<RunReport, SearchError> {
    let SelectOptions { photos, traces, .. } = &search.select;
    let is_named = !search.files.is_empty() || search.source.kind != cli::SourceKind::Auto;
    // A search for a photo or trace often runs in a loop whose input is a list for the loop.
    let expects_no_input = !is_named && photos.is_empty() && traces.is_empty();
    let result = run_search(search, config);
    // Check last, because the writer may start late. Do not wait: under cron, ssh and CI, standard input may be a pipe
    // that stays open.
    if expects_no_input && has_piped_input() {
        print_diagnostic("standard input was ignored; use `logq -` to read it");
    }
    result
}

/// Whether standard input is a pipe with data.
fn has_piped_input() -> bool {
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

fn run_search(search: Search, config: &Config) -> Result<RunReport, SearchError> {
    follow::check_options(&search.show)?;
    let search = &search.with_default_time();
    let query = build_query(search)?;
    print_option_notes(search, &query, fieldless_form(&search.show));
    if search.show.explain {
        let source = if search.files.is_empty() {
            Some(choose_source(search, &query, config)?)
        } else {
            None
        };
        return search::explain(
            search,
            &query,
            source.as_ref().map(|chosen| &chosen.source),
            &mut open_output(search),
        );
    }
    let style = Style {
        output: search.show.output,
        palette: Palette::from_option(search.show.color),
        utc: search.show.utc,
        fields: FieldSelection::new(&search.show.fields, &search.show.hide)?,
        terminal: io::stdout().is_terminal(),
    };
    if search.show.follow {
        let clock = Clock::system(search.show.utc);
        query
            .time_range
            .suspicion(&search.time, &clock)
            .iter()
            .for_each(|note| print_diagnostic(note));
        let feed = if search.files.is_empty() {
            let chosen = choose_source(search, &query, config)?;
            // The source never changes while it is followed, so check it now.
            let chosen = fall_back_to_pods(search, &query, &chosen).unwrap_or(chosen);
            follow::feed_for(chosen.source, search, &query)?
        } else {
            source::files::feed_for(search, &query)
        };
        let status_sink = StatusSink {
            report: &mut print_diagnostic,
            is_reader_gone: &follow::is_output_closed,
        };
        return follow::run(
            search,
            &query,
            feed,
            Renderer::new(open_output(search), style),
            status_sink,
        );
    }
    if search.files.is_empty() {
        // Print the notes before a pager takes over the terminal.
        let chosen = choose_source(search, &query, config)?;
        let mut out = FallbackBuffer::new(open_output(search));
        let read_from = |chosen: &source::ChosenSource, out: &mut FallbackBuffer<_>| {
            search::source::search(search, &query, chosen, Renderer::new(out, style.clone()))
        };
        let mut report = read_from(&chosen, &mut out);
        if report.as_ref().is_ok_and(found_nothing)
            && let Some(pods) = fall_back_to_pods(search, &query, &chosen)
        {
            out.discard();
            report = read_from(&pods, &mut out);
        }
        // Also write what was found before an error.
        out.release()?;
        out.flush()?;
        return report;
    }
    let out = Renderer::new(open_output(search), style);
    search::files::search(search, &query, out)
}

pub(super) fn run_traces(search: Search, config: &Config) -> Result<RunReport, SearchError> {
    if search.show.follow {
        return Err(FollowError::Waterfall.into());
    }
    if search.select.photos.is_empty() && search.select.traces.is_empty() {
        return Err(QueryError::NoTrace.into());
    }
    let show = &search.show;
    let is_drawn = matches!(show.output, cli::Output::Pretty) && !show.explain;
    if !is_drawn || show.stats || show.histogram || show.top.is_some() {
        return run(search, config);
    }
    if let Some(option) = show.limiting_option() {
        return Err(QueryError::Whole(option).into());
    }
    let query = build_query(&search)?;
    print_option_notes(&search, &query, Some("a waterfall"));
    let (traces, mut report) = if search.files.is_empty() {
        let chosen = choose_source(&search, &query, config)?;
        let (traces, report) = search::source::traces(&search, &query, &chosen)?;
        let pods = found_nothing(&report).then(|| fall_back_to_pods(&search, &query, &chosen));
        match pods.flatten() {
            Some(pods) => search::source::traces(&search, &query, &pods)?,
            None => (traces, report),
        }
    } else {
        search::files::traces(&search, &query)?
    };
    let mut out = open_output(&search);
    let waterfall = Waterfall {
        palette: Palette::from_option(search.show.color),
        utc: search.show.utc,
        width: OutputWidth::detect(),
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
        report.notes.push(format!(
            "{untimed} lines without a time are not in the waterfall; `logq --trace ID` shows them"
        ));
    }
    Ok(report)
}

fn found_nothing(report: &RunReport) -> bool {
    report.found == 0 && report.errors.is_empty()
}

/// Switches to pods if OpenSearch never had their lines, and prints a note.
fn fall_back_to_pods(
    search: &Search,
    query: &Query,
    chosen: &source::ChosenSource,
) -> Option<source::ChosenSource> {
    match source::fall_back_to_pods(search, query, chosen) {
        Ok(pods) => {
            pods.iter()
                .flat_map(|pods| &pods.notes)
                .for_each(|note| print_diagnostic(note));
            pods
        }
        Err(error) => {
            print_diagnostic(&format!(
                "OpenSearch has no lines of a requested component. Its pods may have some, but {error}; \
                 --source kubectl waits longer"
            ));
            None
        }
    }
}

/// Prints notes about unknown field names, and about field options that have no effect. `form`: the output form without
/// fields.
fn print_option_notes(search: &Search, query: &Query, form: Option<&str>) {
    for note in search::unknown_field_notes(&search.show, query) {
        print_diagnostic(&note);
    }
    if let (Some(option), Some(form)) = (search.show.chooses_fields, form) {
        print_diagnostic(&format!("--{option} has no effect with {form}"));
    }
}

/// The option whose output shows no fields, if any.
fn fieldless_form(show: &cli::ShowOptions) -> Option<&'static str> {
    let forms = [
        ("--stats", show.stats),
        ("--histogram", show.histogram),
        ("--top", show.top.is_some()),
        ("-o raw", matches!(show.output, cli::Output::Raw)),
    ];
    forms
        .into_iter()
        .find_map(|(form, is_set)| is_set.then_some(form))
}

/// Chooses the source, and prints its notes.
fn choose_source(
    search: &Search,
    query: &Query,
    config: &Config,
) -> Result<source::ChosenSource, SearchError> {
    let chosen = source::choose(search, query, &|| config.opensearch())?;
    // A script knows its source.
    let for_people = matches!(search.show.output, cli::Output::Pretty) || io::stdout().is_terminal();
    for note in chosen
        .connection_note
        .iter()
        .filter(|_| for_people)
        .chain(&chosen.notes)
    {
        print_diagnostic(note);
    }
    Ok(chosen)
}

fn build_query(search: &Search) -> Result<Query, SearchError> {
    let clock = Clock::system(search.show.utc);
    Ok(Query::from_options(&search.select, &search.time, &clock)?)
}

/// Standard output or a pager.
fn open_output(search: &Search) -> BufWriter<pager::Output> {
    let show = &search.show;
    let pager = if show.no_pager { &Pager::Never } else { &show.pager };
    // Show lines of a pipe as they arrive.
    let piped = search.files.iter().any(|file| file.as_os_str() == "-");
    let for_people = matches!(show.output, cli::Output::Pretty) && !piped && !show.follow;
    let (out, note) = pager::Output::new(pager, io::stdout().is_terminal(), for_people);
    if let Some(note) = note {
        print_diagnostic(&note);
    }
    BufWriter::with_capacity(BUFFER_BYTES, out)
}

//! Searches and traces.

use std::{
    io::{self, BufWriter, IsTerminal, Write},
    os::fd::AsFd,
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::stat::{SFlag, fstat},
};

use super::{Error, fallback_buffer::FallbackBuffer, print_diagnostic};
use crate::{
    config::Config,
    follow::{self, FollowError, StatusSink},
    pager::{self, Pager},
    query::{Query, QueryError},
    render::{FieldSelection, OutputFormat, OutputWidth, Palette, Renderer, Style, Waterfall},
    search::{self, RunReport, SearchOptions, SelectOptions, ShowOptions},
    source::{self, ChosenSource},
    time::Clock,
};

const BUFFER_BYTES: usize = 64 * 1024;

pub(super) fn run(search: SearchOptions, config: &Config) -> Result<RunReport, Error> {
    let SelectOptions { photos, traces, .. } = &search.select;
    let is_named = !search.files.is_empty() || !search.source.kind.is_default();
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

fn run_search(search: SearchOptions, config: &Config) -> Result<RunReport, Error> {
    follow::check_options(&search.show)?;
    let search = &search.with_default_time();
    let query = search.query()?;
    print_option_notes(search, &query, fieldless_form(&search.show));
    if search.show.explain {
        let chosen = choose_source(search, &query, config)?;
        let mut out = open_output(search);
        return Ok(search::explain(search, &query, &*chosen.source, &mut out)?);
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
            .suspicion(&search.time.criteria(), &clock)
            .iter()
            .for_each(|note| print_diagnostic(note));
        let chosen = choose_source(search, &query, config)?;
        // The source never changes while it is followed, so check it now.
        let chosen = fall_back_to_pods(search, &query, &chosen).unwrap_or(chosen);
        let feed = chosen.source.into_feed(&query, search.feed_options());
        let feed = feed.ok_or(FollowError::Both)?;
        let status_sink = StatusSink {
            report: &mut print_diagnostic,
            is_reader_gone: &follow::is_output_closed,
        };
        let out = Renderer::new(open_output(search), style);
        return Ok(follow::run(search, &query, feed, out, status_sink)?);
    }
    // Print the notes before a pager takes over the terminal.
    let chosen = choose_source(search, &query, config)?;
    let mut out = FallbackBuffer::new(open_output(search));
    if !chosen.can_fall_back {
        out.release()?;
    }
    let read_from = |chosen: &ChosenSource, out: &mut FallbackBuffer<_>| {
        search::search(search, &query, chosen, Renderer::new(out, style.clone()))
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
    Ok(with_left_out(report?, &query))
}

/// Adds notes about lines that were left out because they have no time or no level.
fn with_left_out(mut report: RunReport, query: &Query) -> RunReport {
    report.notes.extend(query.left_out.notes());
    report
}

pub(super) fn run_traces(search: SearchOptions, config: &Config) -> Result<RunReport, Error> {
    if search.show.follow {
        return Err(FollowError::Waterfall.into());
    }
    if search.select.photos.is_empty() && search.select.traces.is_empty() {
        return Err(QueryError::NoTrace.into());
    }
    let show = &search.show;
    let is_drawn = matches!(show.output, OutputFormat::Pretty) && !show.explain;
    if !is_drawn || show.stats || show.histogram || show.top.is_some() {
        return run(search, config);
    }
    if let Some(option) = show.limiting_option() {
        return Err(QueryError::Whole(option).into());
    }
    let query = search.query()?;
    print_option_notes(&search, &query, Some("a waterfall"));
    let chosen = choose_source(&search, &query, config)?;
    let (mut traces, mut report) = search::traces(&search, &query, &chosen)?;
    if found_nothing(&report)
        && let Some(pods) = fall_back_to_pods(&search, &query, &chosen)
    {
        (traces, report) = search::traces(&search, &query, &pods)?;
    }
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
    report = with_left_out(report, &query);
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
fn fall_back_to_pods(search: &SearchOptions, query: &Query, chosen: &ChosenSource) -> Option<ChosenSource> {
    match source::fall_back_to_pods(&search.source_request(), query, chosen) {
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
fn print_option_notes(search: &SearchOptions, query: &Query, form: Option<&str>) {
    for note in search::unknown_field_notes(&search.show, query) {
        print_diagnostic(&note);
    }
    if let (Some(option), Some(form)) = (search.show.chooses_fields, form) {
        print_diagnostic(&format!("--{option} has no effect with {form}"));
    }
}

/// The option whose output shows no fields, if any.
fn fieldless_form(show: &ShowOptions) -> Option<&'static str> {
    let forms = [
        ("--stats", show.stats),
        ("--histogram", show.histogram),
        ("--top", show.top.is_some()),
        ("-o raw", matches!(show.output, OutputFormat::Raw)),
    ];
    forms
        .into_iter()
        .find_map(|(form, is_set)| is_set.then_some(form))
}

/// Chooses the source, and prints its notes.
fn choose_source(search: &SearchOptions, query: &Query, config: &Config) -> Result<ChosenSource, Error> {
    let chosen = source::choose(&search.source_request(), query, config)?;
    // A script knows its source.
    let for_people = matches!(search.show.output, OutputFormat::Pretty) || io::stdout().is_terminal();
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

/// Standard output or a pager.
fn open_output(search: &SearchOptions) -> BufWriter<pager::PagedStdout> {
    let show = &search.show;
    let pager = if show.no_pager { &Pager::Never } else { &show.pager };
    // Show lines of a pipe as they arrive.
    let for_people = matches!(show.output, OutputFormat::Pretty) && !search.reads_pipe() && !show.follow;
    let (out, note) = pager::PagedStdout::new(pager, io::stdout().is_terminal(), for_people);
    if let Some(note) = note {
        print_diagnostic(&note);
    }
    BufWriter::with_capacity(BUFFER_BYTES, out)
}

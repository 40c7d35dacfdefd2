//! Lines of files.

use std::{collections::VecDeque, io::Write};

use super::{
    Context, Outcome, Reading, SearchError, collected, nothing,
    related::{self, Joined},
    show, summarise,
    there::There,
    told_in_numbers,
    traces::apart,
    unknown_uses,
};
use crate::{
    cli::{Output, Search, Show},
    filter::Filter,
    plan::{Known, Wanted, related::Related},
    render::{Column, Renderer},
    source::{
        Entry,
        files::{self, FileError, Strip},
    },
    summary::Summary,
};

/// All lines of each trace and those that are related to it, in the order of
/// their times.
///
/// # Errors
/// [`SearchError`]; a file that breaks off is told in the outcome.
pub fn traces(search: &Search, wanted: &Wanted) -> Result<(Vec<Vec<Entry>>, Outcome), SearchError> {
    let (known, notes) = known(search, wanted)?;
    let filter = wanted.filter(&known);
    if is_piped(search) {
        let (found, mut outcome) = collected(files::open(&search.files, &filter)?);
        outcome.notes.extend(notes);
        let note = "the broker's lines that are related were not looked for: that needs to read several times, \
                    and standard input is read once";
        outcome.notes.push(note.to_owned());
        let traces = apart(found, &Related::new(wanted), wanted, &known, &mut outcome);
        return Ok((traces, outcome));
    }
    let read = |filter: &_| Ok(files::open(&search.files, filter)?);
    let (related, errors) = related::learn(wanted, &known, read)?;
    let joined = Joined {
        related: &related,
        filter,
    };
    let (found, mut outcome) = collected(joined.pick(Filter::NOTHING, read)?);
    outcome.notes.extend(notes);
    let traces = apart(found, &related, wanted, &known, &mut outcome);
    let mut outcome = related::told(outcome, errors);
    explain_nothing(search, wanted, &mut outcome);
    Ok((traces, outcome))
}

/// What has to be found out before, and what a person should know of it.
fn known(search: &Search, wanted: &Wanted) -> Result<(Known, Vec<String>), SearchError> {
    if let (Some(option), true) = (wanted.related(), is_piped(search)) {
        return Err(SearchError::TooOften(option));
    }
    if !wanted.depends() {
        return Ok((Known::default(), Vec::new()));
    }
    if is_piped(search) {
        return Err(SearchError::Twice(wanted.uses.option().unwrap_or("photo")));
    }
    let known = files::known(&search.files, wanted)?;
    let notes = unknown_uses(wanted, &known).into_iter().collect();
    Ok((known, notes))
}

fn is_piped(search: &Search) -> bool {
    search.files.iter().any(|file| file.as_os_str() == "-")
}

fn explain_nothing(search: &Search, wanted: &Wanted, outcome: &mut Outcome) {
    if outcome.found == 0 && outcome.errors.is_empty() && !is_piped(search) {
        let files = There::Files(&search.files);
        outcome.notes.extend(nothing::why(search, wanted, files));
    }
}

/// Looks through files.
///
/// # Errors
/// [`SearchError`]; a file that breaks off is told in the outcome.
pub fn lines<W: Write>(search: &Search, wanted: &Wanted, out: Renderer<W>) -> Result<Outcome, SearchError> {
    let mut outcome = shown(search, wanted, out)?;
    explain_nothing(search, wanted, &mut outcome);
    Ok(outcome)
}

fn shown<W: Write>(search: &Search, wanted: &Wanted, out: Renderer<W>) -> Result<Outcome, SearchError> {
    let (known, notes) = known(search, wanted)?;
    let outcome = Outcome {
        notes,
        ..Outcome::default()
    };
    let filter = wanted.filter(&known);
    if wanted.related().is_some() {
        let read = |filter: &_| Ok(files::open(&search.files, filter)?);
        let (related, errors) = related::learn(wanted, &known, read)?;
        let joined = Joined {
            related: &related,
            filter,
        };
        let outcome = related::lines(search, &joined, wanted.scope(&known), read, out, outcome)?;
        return Ok(related::told(outcome, errors));
    }
    if let Some(summary) = Summary::of(search)? {
        if matches!(summary, Summary::Stats(_)) {
            return counted(files::counted(&search.files, &filter)?, summary, out, outcome);
        }
        return summarise(files::open(&search.files, &filter)?, summary, out, outcome);
    }
    let context = Context::of(&search.show);
    if is_straight(search, context) {
        let strips = files::written(&search.files, &filter, out.style())?;
        return written(strips, &search.show, out, outcome);
    }
    let least = if context.is_wanted() {
        wanted.scope(&known)
    } else {
        filter.clone()
    };
    let entries = files::open(&search.files, &least)?;
    show(search, entries, Reading::All, &filter, out, outcome)
}

/// Whether each line is shown where it stands, if it is, and as if it were alone.
const fn is_straight(search: &Search, context: Context) -> bool {
    let show = &search.show;
    !show.reverse && !context.is_wanted() && !matches!(show.output, Output::Json)
}

fn counted<W: Write>(
    parts: impl Iterator<Item = Result<(Summary, u64), FileError>>,
    mut summary: Summary,
    out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    for part in parts {
        match part {
            Ok((part, found)) => {
                outcome.found += found;
                summary.join(part);
            }
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    let found = outcome.found;
    told_in_numbers(&summary, found, out, outcome)
}

fn written<W: Write>(
    strips: impl Iterator<Item = Result<Strip, FileError>>,
    show: &Show,
    mut out: Renderer<W>,
    mut outcome: Outcome,
) -> Result<Outcome, SearchError> {
    let first = show.limit.map_or(u64::MAX, |limit| limit as u64);
    let mut last = VecDeque::new();
    let mut column = Column::default();
    for strip in strips {
        match strip {
            Ok(strip) => {
                outcome.found += 1;
                if let Some(tail) = show.tail {
                    last.push_back(strip);
                    if last.len() > tail {
                        last.pop_front();
                    }
                } else if outcome.shown < first {
                    outcome.shown += 1;
                    strip.write(&mut column, out.output())?;
                    // What comes of a pipe is shown as it comes.
                    if strip.is_last() || outcome.shown == first {
                        out.flush()?;
                    }
                }
            }
            Err(error) => outcome.errors.push(error.to_string()),
        }
    }
    for strip in last {
        outcome.shown += 1;
        strip.write(&mut column, out.output())?;
    }
    out.finish()?;
    Ok(outcome)
}

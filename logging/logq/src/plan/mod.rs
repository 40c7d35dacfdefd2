//! What a command line asks for, as data.

pub mod related;
mod uses;

use std::collections::BTreeSet;

use line::{Document, Time};
use schema::field;

pub use self::uses::{Use, Uses};
use crate::{
    cli::{
        ALL, Select, Window,
        condition::{self, NoCondition},
        selector::{self, NoSelector},
        time::{Clock, NoTime, duration},
    },
    filter::{Comparison, Filter, Glob, Literal, Pattern},
};

/// Why a command line asks for nothing that can be looked for.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    /// A condition on a field.
    #[error("-f: {0}")]
    Condition(#[from] NoCondition),
    /// A selector.
    #[error("--selector: {0}")]
    Selector(#[from] NoSelector),
    /// A time.
    #[error("--{option}: {error}")]
    Time {
        /// The option.
        option: &'static str,
        /// What is wrong.
        error: NoTime,
    },
    /// A regular expression.
    #[error("--{option}: {pattern:?} is no regular expression: {why}")]
    Pattern {
        /// The option.
        option: &'static str,
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A pattern with `*` and `?`.
    #[error("--{option}: {pattern:?} is no pattern: {why}")]
    Glob {
        /// The option.
        option: &'static str,
        /// What was typed.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A trace id.
    #[error(
        "--trace: {0:?} is no trace id: these are 32 hexadecimal digits; their beginning will do, from 8 on"
    )]
    Trace(String),
    /// `logq trace` alone.
    #[error(
        "which trace? logq trace ID, with 32 hexadecimal digits or the first 8, or logq trace --photo ID"
    )]
    NoTrace,
    /// A waterfall shows all of a trace.
    #[error("a waterfall shows the whole trace: leave --{0} out, or ask for lines with `logq --trace ID`")]
    Whole(&'static str),
    /// `--with-…` without a component that uses something.
    #[error(
        "--{0} says whose lines beside those of a component: name it with -c, or ask for --photo or --trace"
    )]
    UsesOfNothing(&'static str),
    /// The window ends before it begins.
    #[error("--until {until} is before --since {since}")]
    Backwards {
        /// The beginning, as it was typed.
        since: String,
        /// The end.
        until: String,
    },
}

/// From when to when, both included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Not before.
    pub since: Option<Time>,
    /// Not after.
    pub until: Option<Time>,
}

impl Span {
    /// Reads when.
    ///
    /// # Errors
    /// [`Unclear`].
    pub fn of(window: &Window, clock: &Clock) -> Result<Self, Unclear> {
        let read = |option, text: &Option<String>| {
            text.as_deref()
                .filter(|text| *text != ALL)
                .map(|text| clock.read(text))
                .transpose()
                .map_err(|error| Unclear::Time { option, error })
        };
        if let Some(around) = &window.around {
            let middle = clock.read(around).map_err(|error| Unclear::Time {
                option: "around",
                error,
            })?;
            let half = window
                .since
                .as_deref()
                .and_then(duration)
                .map_or(MINUTE, |half| half.num_nanoseconds().unwrap_or(i64::MAX));
            return Ok(Self {
                since: Some(Time::from_nanos(middle.nanos().saturating_sub(half).max(0))),
                until: Some(Time::from_nanos(middle.nanos().saturating_add(half))),
            });
        }
        let span = Self {
            since: read("since", &window.since)?,
            until: read("until", &window.until)?,
        };
        match (span.since, span.until) {
            (Some(since), Some(until)) if until < since => Err(Unclear::Backwards {
                since: window.since.clone().unwrap_or_default(),
                until: window.until.clone().unwrap_or_default(),
            }),
            _ => Ok(span),
        }
    }

    /// The same as a filter.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let bound = |time: Option<Time>, comparison| {
            time.map(|time| {
                let time = Literal::new(&time.to_string());
                Filter::Compare(field::TIMESTAMP.to_owned(), comparison, time)
            })
        };
        let bounds = [
            bound(self.since, Comparison::AtLeast),
            bound(self.until, Comparison::AtMost),
        ];
        Filter::All(bounds.into_iter().flatten().collect())
    }
}

/// A minute in nanoseconds.
const MINUTE: i64 = 60_000_000_000;

/// Fewer digits of a trace id would find others too.
const LEAST_TRACE_DIGITS: usize = 8;

/// One thing that lines must have, as it was typed.
#[derive(Clone, Debug)]
pub enum Wish {
    /// A component, a pod or the like: of several of a kind one is enough.
    Name {
        /// What it names.
        what: &'static str,
        /// The field that holds it.
        field: &'static str,
        /// The name or pattern.
        typed: String,
        /// The same as a filter.
        filter: Filter,
    },
    /// Something of a field.
    Condition {
        /// The field.
        field: String,
        /// The condition.
        typed: String,
        /// The same as a filter.
        filter: Filter,
    },
}

/// Which lines are asked for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The components that were named; none for all.
    pub components: Vec<Glob>,
    /// What they use and is asked for, too.
    pub uses: Uses,
    /// Lines about one of these photos, and of the traces that these belong to.
    pub photos: Vec<i64>,
    /// Lines of one of these traces.
    pub trace: Option<Filter>,
    /// The pods that it is asked of.
    pub place: Filter,
    /// What else is wanted of each line.
    pub conditions: Filter,
    /// When.
    pub span: Span,
    /// What of it can be told where nothing is found: of names and fields, each for itself.
    pub wishes: Vec<Wish>,
}

impl Wanted {
    /// Reads what is wanted.
    ///
    /// # Errors
    /// [`Unclear`].
    pub fn of(select: &Select, window: &Window, clock: &Clock) -> Result<Self, Unclear> {
        let uses = Uses::of(select);
        let anchored =
            !select.components.is_empty() || !select.photos.is_empty() || !select.traces.is_empty();
        if let Some(option) = uses.option()
            && !anchored
        {
            return Err(Unclear::UsesOfNothing(option));
        }
        Ok(Self {
            components: globs("component", &select.components)?,
            uses,
            photos: select.photos.clone(),
            trace: of_traces(&select.traces)?,
            place: place(select)?,
            conditions: conditions(select, clock)?,
            span: Span::of(window, clock)?,
            wishes: wishes(select, clock)?,
        })
    }

    /// The lines of the components that were named.
    #[must_use]
    pub fn named(&self) -> Filter {
        if self.components.is_empty() {
            return Filter::EVERYTHING;
        }
        let components = self.components.iter().cloned();
        Filter::Any(
            components
                .map(|glob| Filter::Glob(field::COMPONENT.to_owned(), glob))
                .collect(),
        )
    }

    /// The lines among which is looked, and which can be shown around those
    /// that are found: those of the named components, and of what they use.
    #[must_use]
    pub fn scope(&self, known: &Known) -> Filter {
        let mut all = vec![self.span.filter(), self.place.clone()];
        if !self.components.is_empty() {
            let used = known.used.iter().map(|component| is(field::COMPONENT, component));
            all.push(Filter::Any(std::iter::once(self.named()).chain(used).collect()));
        }
        simple(all)
    }

    /// The lines that are wanted.
    #[must_use]
    pub fn filter(&self, known: &Known) -> Filter {
        let mut all = vec![self.scope(known), self.conditions.clone()];
        all.extend(self.trace.clone());
        if !self.photos.is_empty() {
            let traces = known.traces.iter().map(|trace| is(field::TRACE_ID, trace));
            all.push(Filter::Any(self.about().chain(traces).collect()));
        }
        simple(all)
    }

    /// The lines that can turn out to be wanted, whatever is still learnt.
    #[must_use]
    pub fn reach(&self) -> Filter {
        if self.depends() {
            Filter::EVERYTHING
        } else {
            self.filter(&Known::default())
        }
    }

    /// The lines that [`Known`] is learnt from.
    #[must_use]
    pub fn clues(&self) -> Filter {
        let named = (!self.components.is_empty()).then(|| self.named());
        Filter::Any(named.into_iter().chain(self.about()).collect())
    }

    /// The lines of a photo's way that name it.
    #[must_use]
    pub fn way(&self) -> Filter {
        let reads = ["GET", "HEAD"].map(|method| is(field::HTTP_REQUEST_METHOD, method));
        let about = either(self.about().collect());
        Filter::All(vec![about, Filter::Any(reads.into()).negated()])
    }

    /// The lines that name a photo that is asked for, a filter for each.
    fn about(&self) -> impl Iterator<Item = Filter> {
        let photos = self.photos.iter();
        photos.map(|photo| is(field::PHOTO_ID, &photo.to_string()))
    }

    /// Whether what is asked for is a photo's way, or a trace: both come to an
    /// end.
    #[must_use]
    pub const fn is_traced(&self) -> bool {
        !self.photos.is_empty() || self.trace.is_some()
    }

    /// The option that asks for what is [`related`] to traces, if one does.
    #[must_use]
    pub fn related(&self) -> Option<&'static str> {
        let asked = self.is_traced() && self.uses.wanted().contains(&Use::Queue);
        asked.then(|| match self.uses.option() {
            Some("with-all") => "with-all",
            _ => "with-queue",
        })
    }

    /// Whether something has to be found out before: see [`Known`].
    #[must_use]
    pub fn depends(&self) -> bool {
        !self.photos.is_empty() || (!self.components.is_empty() && !self.uses.wanted().is_empty())
    }
}

/// What has to be found out before it is known which lines are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// The components that the named ones use, of what was asked for.
    pub used: BTreeSet<String>,
    /// The traces that lines about the photo belong to.
    pub traces: BTreeSet<String>,
}

impl Known {
    /// Adds what is known elsewhere; returns whether it is more than before.
    pub fn join(&mut self, more: Self) -> bool {
        let before = (self.used.len(), self.traces.len());
        self.used.extend(more.used);
        self.traces.extend(more.traces);
        before != (self.used.len(), self.traces.len())
    }

    /// Learns from a line.
    pub fn learn(&mut self, wanted: &Wanted, document: &Document) {
        if !wanted.components.is_empty() && wanted.named().matches(document) {
            for used in wanted.uses.wanted() {
                self.used.extend(document.label(used.label()).map(str::to_owned));
            }
        }
        if wanted.way().matches(document) {
            self.traces.extend(document.trace_id().map(str::to_owned));
        }
    }
}

fn is(field: &str, value: &str) -> Filter {
    Filter::Is(field.to_owned(), Literal::new(value))
}

fn simple(mut all: Vec<Filter>) -> Filter {
    all.retain(|part| !part.is_everything());
    match <[Filter; 1]>::try_from(all) {
        Ok([only]) => only,
        Err(all) => Filter::All(all),
    }
}

fn either(any: Vec<Filter>) -> Filter {
    match <[Filter; 1]>::try_from(any) {
        Ok([only]) => only,
        Err(any) => Filter::Any(any),
    }
}

/// The options that say where, with the field that holds it.
const fn places(select: &Select) -> [(&'static str, &'static str, &Vec<String>); 4] {
    [
        ("namespace", field::KUBERNETES_NAMESPACE, &select.namespace),
        ("pod", field::KUBERNETES_POD, &select.pod),
        ("container", field::KUBERNETES_CONTAINER, &select.container),
        ("node", field::KUBERNETES_NODE, &select.node),
    ]
}

fn wishes(select: &Select, clock: &Clock) -> Result<Vec<Wish>, Unclear> {
    let mut wishes = Vec::new();
    let components = ("component", field::COMPONENT, &select.components);
    for (what, field, names) in std::iter::once(components).chain(places(select)) {
        for typed in names {
            wishes.push(Wish::Name {
                what,
                field,
                typed: typed.clone(),
                filter: Filter::Glob(field.to_owned(), glob(what, typed)?),
            });
        }
    }
    for typed in &select.conditions {
        let filter = condition::read(typed, clock)?;
        let (Filter::Is(field, _)
        | Filter::Found(field, _)
        | Filter::Compare(field, ..)
        | Filter::Exists(field)) = &filter
        else {
            continue;
        };
        wishes.push(Wish::Condition {
            field: field.clone(),
            typed: typed.clone(),
            filter,
        });
    }
    Ok(wishes)
}

fn place(select: &Select) -> Result<Filter, Unclear> {
    let mut all = Vec::new();
    for (option, field, names) in places(select) {
        if !names.is_empty() {
            let globs = globs(option, names)?.into_iter();
            all.push(Filter::Any(
                globs.map(|glob| Filter::Glob(field.to_owned(), glob)).collect(),
            ));
        }
    }
    if let Some(selector) = &select.selector {
        all.push(selector::read(selector)?);
    }
    Ok(simple(all))
}

fn conditions(select: &Select, clock: &Clock) -> Result<Filter, Unclear> {
    let mut all = Vec::new();
    if let Some(level) = select.level {
        all.push(Filter::Level(level));
    }
    for pattern in &select.grep {
        all.push(Filter::Text(compiled("grep", pattern)?));
    }
    for pattern in &select.exclude {
        all.push(Filter::Text(compiled("exclude", pattern)?).negated());
    }
    for condition in &select.conditions {
        all.push(condition::read(condition, clock)?);
    }
    Ok(simple(all))
}

fn of_traces(texts: &[String]) -> Result<Option<Filter>, Unclear> {
    let all: Vec<Filter> = texts
        .iter()
        .map(|text| of_trace(text))
        .collect::<Result<_, _>>()?;
    Ok((!all.is_empty()).then(|| either(all)))
}

fn of_trace(text: &str) -> Result<Filter, Unclear> {
    let id = text.trim().to_ascii_lowercase();
    let digits = id.len();
    if !(LEAST_TRACE_DIGITS..=32).contains(&digits) || !id.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unclear::Trace(text.to_owned()));
    }
    let field = field::TRACE_ID.to_owned();
    if digits == 32 {
        return Ok(Filter::Is(field, Literal::new(&id)));
    }
    glob("trace", &format!("{id}*")).map(|glob| Filter::Glob(field, glob))
}

fn globs(option: &'static str, texts: &[String]) -> Result<Vec<Glob>, Unclear> {
    texts.iter().map(|text| glob(option, text)).collect()
}

fn glob(option: &'static str, text: &str) -> Result<Glob, Unclear> {
    Glob::new(text).map_err(|error| Unclear::Glob {
        option,
        pattern: text.to_owned(),
        why: error.to_string(),
    })
}

fn compiled(option: &'static str, pattern: &str) -> Result<Pattern, Unclear> {
    Pattern::new(pattern).map_err(|error| Unclear::Pattern {
        option,
        pattern: pattern.to_owned(),
        why: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_looked_at_a_photo_is_no_part_of_its_way() {
        let select = Select {
            photos: vec![17],
            ..Select::default()
        };
        let wanted = Wanted::of(&select, &Window::default(), &Clock::system(true)).unwrap();
        let mut known = Known::default();
        for (method, trace) in [(Some("POST"), "a"), (Some("GET"), "b"), (None, "c")] {
            let mut line = json!({ "photo": { "id": 17 }, "trace_id": trace });
            if let Some(method) = method {
                line["http"] = json!({ "request": { "method": method } });
            }
            known.learn(&wanted, &Document::try_from(line).unwrap());
        }
        assert_eq!(known.traces.iter().collect::<Vec<_>>(), ["a", "c"]);
    }
}

//! What a command line asks for, as data.

pub mod related;
mod span;
mod typed;
mod unclear;
mod uses;

use std::collections::BTreeSet;

use line::Document;
use schema::field;

use self::typed::{conditions, globs, of_traces, place, wishes};
pub use self::{
    span::Span,
    unclear::Unclear,
    uses::{Use, Uses},
};
use crate::{
    cli::{Select, Window, time::Clock},
    filter::{Filter, Glob, Literal},
};

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
        /// The same as a filter: negated where the condition is.
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
    pub(crate) fn about(&self) -> impl Iterator<Item = Filter> {
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

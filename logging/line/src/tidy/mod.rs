//! Lines that need nothing done.

mod names;
mod read;
mod write;

use std::borrow::Cow;

use schema::{Field, MAX_CONTENT_BYTES, level};
use serde_json::Number;

use self::names::{NAMES, Names};
use crate::{Line, Origin, Time};

/// A line of one of our programs in which every member is where, and as, the
/// schema has it. It is read in a tenth of the time of [`normalize`], and tells
/// the same, but for the line's id and the object `kubernetes`.
///
/// [`normalize`]: crate::normalize
#[derive(Debug)]
pub struct Tidy<'a> {
    /// By the field's place among [`Tidy::fields`], sorted.
    members: Vec<(usize, Scalar<'a>)>,
    time: Time,
    /// Whether the line has labels, which are left out here.
    labels: bool,
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(Number),
    /// True or false.
    Bool(bool),
}

impl<'a> Tidy<'a> {
    /// Reads a line; None for any line that [`normalize`] would have to change.
    ///
    /// [`normalize`]: crate::normalize
    #[must_use]
    pub fn read(line: &'a Line<'_>, origin: &'a Origin) -> Option<Self> {
        let whole = !line.cut && !line.unmatched && line.content.len() <= MAX_CONTENT_BYTES;
        if !whole || line.content.first() != Some(&b'{') {
            return None;
        }
        let text = std::str::from_utf8(&line.content).ok()?;
        let component = match origin {
            Origin::Pod(pod) => Some(pod.component()),
            Origin::Source(_) => None,
        };
        let (mut members, labels) = read::members(text, component.is_some())?;
        let own = |value: &'a str| Scalar::Text(value.into());
        members.extend(component.map(|name| (NAMES.component, own(name))));
        members.extend(line.stream.map(|stream| (NAMES.iostream, own(stream.name()))));
        members.sort_by_key(|(place, _)| *place);
        let mut tidy = Self {
            members,
            time: Time::from_nanos(0),
            labels,
        };
        tidy.time = Time::parse(tidy.text_at(NAMES.timestamp)?)?;
        tidy.text_at(NAMES.message)?;
        level::ALL.contains(&tidy.text_at(NAMES.level)?).then_some(tidy)
    }

    /// All fields of the schema, in the order of [`Self::members`].
    #[must_use]
    pub fn fields() -> &'static [&'static Field] {
        &NAMES.fields
    }

    /// Whether a field's value is told as a document has it: all but what is
    /// left out here.
    #[must_use]
    pub fn tells(name: &str) -> bool {
        let object = name.split('.').next();
        !matches!(object, Some("kubernetes" | "event" | ""))
    }

    /// Whether nothing that the line says is left out here.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        !self.labels
    }

    /// The fields that the line has, by their places among [`Self::fields`],
    /// in the order of a document's sorted keys. `@timestamp` is as the line
    /// has it.
    #[must_use]
    pub fn members(&self) -> &[(usize, Scalar<'a>)] {
        &self.members
    }

    /// The value of a field.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Scalar<'a>> {
        self.at(Names::place(&NAMES.fields, name)?)
    }

    /// Whether it has fields within an object of this dotted name.
    #[must_use]
    pub fn has_object(&self, name: &str) -> bool {
        let within = |(place, _): &(usize, Scalar<'_>)| {
            let field = NAMES
                .fields
                .get(*place)
                .and_then(|field| field.name.strip_prefix(name));
            field.is_some_and(|rest| rest.starts_with('.'))
        };
        self.members.iter().any(within)
    }

    /// When it happened.
    #[must_use]
    pub const fn time(&self) -> Time {
        self.time
    }

    /// One of [`schema::level::ALL`].
    #[must_use]
    pub fn level(&self) -> &str {
        self.text_at(NAMES.level).unwrap_or_default()
    }

    /// What happened.
    #[must_use]
    pub fn message(&self) -> &str {
        self.text_at(NAMES.message).unwrap_or_default()
    }

    /// Whose line it is.
    #[must_use]
    pub fn component(&self) -> Option<&str> {
        self.text_at(NAMES.component)
    }

    /// Where it happened.
    #[must_use]
    pub fn stacktrace(&self) -> Option<&str> {
        self.text_at(NAMES.stacktrace)
    }

    fn at(&self, place: usize) -> Option<&Scalar<'a>> {
        let found = self.members.iter().find(|(own, _)| *own == place);
        found.map(|(_, value)| value)
    }

    fn text_at(&self, place: usize) -> Option<&str> {
        match self.at(place)? {
            Scalar::Text(text) => Some(text),
            Scalar::Number(_) | Scalar::Bool(_) => None,
        }
    }
}

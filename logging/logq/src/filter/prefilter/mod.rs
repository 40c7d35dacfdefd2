//! Rejects lines by their raw bytes, before parsing.
//!
//! Architecture invariant: a line that [`Prefilter::may_match`] rejects does not match. It accepts uncertain lines:
//! with characters that JSON may escape, or fields from the line's format or origin.

mod member;

use log_normalizer::{
    Document, ENCODED_TEXTS, Origin, RawLine, Time, docker_content, json::Arena, level_members, normalize,
    time_members,
};
use memchr::{memchr, memmem};
use schema::{FIELDS, Field, FieldKind, field, level};
use serde_json::Number;

use self::member::{Member, RawValue, ValueTest};
use super::{Comparison, Filter, Glob, required_literals::RequiredLiterals};

/// A necessary condition on the raw bytes of a matching line.
#[derive(Debug)]
pub enum Prefilter {
    /// No condition.
    Maybe,
    /// No line of this origin matches.
    Never,
    All(Vec<Self>),
    Any(Vec<Self>),
    Contains(RequiredLiterals),
    /// A JSON member at any depth passes a test.
    Member(Member),
    /// A JSON line's level passes a test, or it has none: such lines are counted.
    Level(Member),
    /// The line's time, or the runtime's time, is within these bounds, or it has none.
    Time(Member, Vec<(Comparison, Time)>),
}

/// Bytes that may precede a part of a name.
const NAME: &[u8] = b"\".";

/// Names that hold a level beside others, or whose presence implies one.
const OTHER_LEVELS: [&str; 4] = ["error_severity", "label", "s", "@t"];

/// The first byte of a byte order mark.
const MARK: u8 = 0xef;

/// Larger numbers of a time are not exact as a float.
const MAX_EXACT: f64 = 9_007_199_254_740_992.0;

/// Characters of a number. A number in a text field is formatted again.
const NUMBER_CHARS: &str = "0123456789.eE+-";

impl Prefilter {
    /// Derives the condition from a filter, for lines of one origin.
    #[must_use]
    pub fn new(filter: &Filter, origin: &Origin) -> Self {
        // The fields of every line of the origin.
        let pod_fields = normalize(&RawLine::plain(b"{}", 0), origin);
        Builder { origin, pod_fields }.build(filter)
    }

    /// Whether it accepts every line.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Maybe => true,
            Self::All(parts) => parts.iter().all(Self::is_open),
            _ => false,
        }
    }

    /// Whether a line can match. `plain`: the line is known to have no escapes, see [`has_escapes`].
    #[must_use]
    pub fn may_match(&self, line: &RawLine<'_>, plain: bool) -> bool {
        let content: &[u8] = &line.content;
        match self {
            Self::Maybe => true,
            Self::Never => false,
            _ if plain => self.admits(content, line.time),
            _ => {
                let arena = Arena::new();
                let is_bare = line.time.is_none() && !line.unmatched;
                match docker_content(content, is_bare, &arena) {
                    Some((inner, time)) => self.admits_escaped(inner.as_bytes(), Some(time)),
                    None => self.admits_escaped(content, line.time),
                }
            }
        }
    }

    fn admits_escaped(&self, content: &[u8], time: Option<Time>) -> bool {
        has_escapes(content) || self.admits(content, time)
    }

    fn admits(&self, content: &[u8], time: Option<Time>) -> bool {
        match self {
            Self::Maybe => true,
            Self::Never => false,
            Self::All(parts) => parts.iter().all(|part| part.admits(content, time)),
            Self::Any(parts) => parts.iter().any(|part| part.admits(content, time)),
            Self::Contains(literals) => literals.any_in(content),
            // Plain text gets its fields in other ways.
            Self::Member(member) if content.first() == Some(&b'{') => member.is_in(content),
            Self::Member(member) => !member.is_json_only(),
            Self::Level(member) if content.first() == Some(&b'{') => {
                // A line without a level is counted; a nested member is not its level.
                member.is_in(content) || !member.any(before_nested(content), &mut |_| true)
            }
            Self::Level(_) => true,
            Self::Time(member, bounds) => {
                let fits = |time: Time| {
                    bounds
                        .iter()
                        .all(|(comparison, bound)| comparison.holds(time.cmp(bound)))
                };
                if let Some(time) = time
                    && fits(time)
                {
                    return true;
                }
                let fits_value = |value: RawValue<'_>| match value {
                    RawValue::Other => true,
                    RawValue::Number(number, _) if number.abs() >= MAX_EXACT => true,
                    value => time_of(value).is_some_and(fits),
                };
                let has_time = time.is_some();
                match content.first() {
                    Some(b'{') => {
                        // A line without a time is counted; a nested member is not its time.
                        member.any(content, &mut { fits_value })
                            || !(has_time
                                || member.any(before_nested(content), &mut |value| time_of(value).is_some()))
                    }
                    // The program's line may have a time.
                    Some(&MARK) => true,
                    _ => !has_time,
                }
            }
        }
    }
}

/// The members of a JSON object before its first nested object.
fn before_nested(content: &[u8]) -> &[u8] {
    let rest = content.get(1..).unwrap_or_default();
    let end = memchr(b'{', rest).map_or(content.len(), |at| at + 1);
    content.get(..end).unwrap_or_default()
}

/// The time of a raw value, as the normaliser may read it.
fn time_of(value: RawValue<'_>) -> Option<Time> {
    match value {
        RawValue::Text(text) => Time::from_text(text).or_else(|| Time::from_text_without_zone(text)),
        RawValue::Number(number, _) if number.abs() < MAX_EXACT => {
            Number::from_f64(number).and_then(|number| Time::from_epoch(&number))
        }
        RawValue::Number(..) | RawValue::Other => None,
    }
}

/// Whether the bytes may hold a text in another form than [`Document`] has it: JSON's `\u`, terminal colours, which the
/// parser removes from plain text, or a message that is encoded once more.
#[must_use]
pub fn has_escapes(bytes: &[u8]) -> bool {
    memchr(0x1b, bytes).is_some()
        || memmem::find(bytes, b"\\u").is_some()
        || ENCODED_TEXTS
            .iter()
            .any(|text| memmem::find(bytes, text.as_bytes()).is_some())
}

struct Builder<'a> {
    origin: &'a Origin,
    pod_fields: Document,
}

impl Builder<'_> {
    fn build(&self, filter: &Filter) -> Prefilter {
        match filter {
            Filter::All(parts) => self.all(parts),
            Filter::Any(parts) => {
                let parts: Vec<Prefilter> = parts.iter().map(|part| self.build(part)).collect();
                if parts.iter().any(Prefilter::is_open) {
                    return Prefilter::Maybe;
                }
                Prefilter::Any(parts)
            }
            Filter::Not(_) => Prefilter::Maybe,
            Filter::Counting(filter, _) => self.build(filter),
            Filter::Text(pattern) => match RequiredLiterals::from_regex(pattern.as_str()) {
                Some(literals) if literals.has_only(NUMBER_CHARS) => {
                    Prefilter::Any(vec![Prefilter::Contains(literals), numbers_as_texts()])
                }
                Some(literals) => Prefilter::Contains(literals),
                None => Prefilter::Maybe,
            },
            Filter::Level(least) => {
                let names: Vec<&str> = level_members().chain(OTHER_LEVELS).collect();
                Prefilter::Level(Member::exact(&names, lower_levels(least)))
            }
            Filter::Compare(name, comparison, value) => match value.time() {
                Some(time) if name == field::TIMESTAMP => {
                    let names: Vec<&str> = time_members().collect();
                    Prefilter::Time(
                        Member::exact(&names, ValueTest::Exists),
                        vec![(*comparison, time)],
                    )
                }
                _ => self.member(name, filter, || ValueTest::Compare(*comparison, value.clone())),
            },
            Filter::Equals(name, value) if name == field::TRACE_ID => {
                RequiredLiterals::any_case(value.text()).map_or(Prefilter::Maybe, Prefilter::Contains)
            }
            Filter::Glob(name, glob) if name == field::TRACE_ID => {
                let begin = glob.as_str().trim_end_matches('*');
                let hex = begin.bytes().all(|byte| byte.is_ascii_hexdigit());
                let literals = hex.then(|| RequiredLiterals::any_case(begin)).flatten();
                literals.map_or(Prefilter::Maybe, Prefilter::Contains)
            }
            Filter::Equals(name, value) => self.member(name, filter, || ValueTest::Equals(value.clone())),
            Filter::Glob(name, glob) => {
                if name == field::COMPONENT && matches!(self.origin, Origin::Source(_)) {
                    return component_prefilter(glob);
                }
                self.member(name, filter, || ValueTest::Glob(glob.clone()))
            }
            Filter::Matches(name, pattern) => {
                self.member(name, filter, || ValueTest::Matches(pattern.clone()))
            }
            Filter::Exists(name) => self.member(name, filter, || ValueTest::Exists),
        }
    }

    fn all(&self, parts: &[Filter]) -> Prefilter {
        let mut prefilters: Vec<Prefilter> = Vec::new();
        for part in parts {
            match self.build(part) {
                Prefilter::Never => return Prefilter::Never,
                // A line has one time, so all bounds apply to the same value.
                Prefilter::Time(member, more) => {
                    let bounds = prefilters.iter_mut().find_map(|prefilter| match prefilter {
                        Prefilter::Time(_, bounds) => Some(bounds),
                        _ => None,
                    });
                    match bounds {
                        Some(bounds) => bounds.extend(more),
                        None => prefilters.push(Prefilter::Time(member, more)),
                    }
                }
                Prefilter::All(inner) => prefilters.extend(inner),
                prefilter if prefilter.is_open() => {}
                prefilter => prefilters.push(prefilter),
            }
        }
        match prefilters.len() {
            0 => Prefilter::Maybe,
            1 => prefilters.pop().unwrap_or(Prefilter::Maybe),
            _ => Prefilter::All(prefilters),
        }
    }

    /// A condition on a field that only a member of that name can set.
    fn member(&self, name: &str, filter: &Filter, test: impl FnOnce() -> ValueTest) -> Prefilter {
        if matches!(self.origin, Origin::Pod(_)) && is_pod_field(name) {
            return if filter.matches(&self.pod_fields) {
                Prefilter::Maybe
            } else {
                Prefilter::Never
            };
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let simple = !last.is_empty()
            && last
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !simple || self.has_other_origin(name, last) || field::is_object(name) {
            return Prefilter::Maybe;
        }
        let schema = field::by_name(name);
        // A number may be written as a text, and a text as a number.
        let test = ValueTest::OfKind(schema.map(|field| field.kind), Box::new(test()));
        let member = Prefilter::Member(Member::new(&[last], NAME, test));
        if name == field::DURATION_SECONDS {
            // PostgreSQL writes the duration into the message.
            let words = RequiredLiterals::any(&["duration: "]).map_or(Prefilter::Maybe, Prefilter::Contains);
            return Prefilter::Any(vec![member, words]);
        }
        match schema {
            Some(_) => member,
            // The name may be an object outside the schema.
            None if matches!(filter, Filter::Exists(_)) => Prefilter::Maybe,
            None => member,
        }
    }

    /// Whether the field may not come from a member of the same name.
    fn has_other_origin(&self, name: &str, last: &str) -> bool {
        match name.split_once('.') {
            // Dots in the names of labels become `_`.
            Some(("kubernetes", rest)) => {
                matches!(self.origin, Origin::Pod(_)) || (rest.contains("labels") && last.contains('_'))
            }
            // A value that contradicts the schema has the name of its field; equal names are numbered.
            Some(("fields", _)) => {
                let is_schema_name = |field: &Field| field.name.rsplit('.').next() == Some(last);
                let is_numbered = last.trim_end_matches(|c: char| c.is_ascii_digit()).ends_with('_');
                is_numbered || FIELDS.iter().any(is_schema_name)
            }
            Some((object, _)) => OTHER_ORIGINS.contains(&object),
            None => OTHER_ORIGINS.contains(&name),
        }
    }
}

/// The path determines these fields, not the line.
fn is_pod_field(name: &str) -> bool {
    name == field::COMPONENT || name == "kubernetes" || name.starts_with("kubernetes.")
}

/// Fields and objects that do not come only from members of the same name.
const OTHER_ORIGINS: [&str; 18] = [
    field::TIMESTAMP,
    field::LEVEL,
    field::MESSAGE,
    field::COMPONENT,
    field::TRACE_ID,
    field::TAGS,
    field::TRUNCATED,
    "client",
    "code",
    "db",
    "event",
    "fields",
    "kubernetes",
    "log",
    "messaging",
    "postgresql",
    "process",
    "rabbitmq",
];

/// A component condition for lines that are not a pod's.
fn component_prefilter(glob: &Glob) -> Prefilter {
    let by_format = [schema::component::POSTGRES, schema::component::RABBITMQ];
    if by_format.iter().any(|component| glob.is_match(component)) {
        return Prefilter::Maybe;
    }
    let test = ValueTest::OfKind(Some(FieldKind::Keyword), Box::new(ValueTest::Glob(glob.clone())));
    Prefilter::All(vec![
        // Plain text has no component.
        Prefilter::Contains(RequiredLiterals::any(&["component"]).unwrap_or_default()),
        Prefilter::Member(Member::new(&["component"], NAME, test)),
    ])
}

/// Text fields whose value is a JSON number.
fn numbers_as_texts() -> Prefilter {
    let texts = FIELDS.iter().filter(|field| field.kind == FieldKind::Text);
    let mut names: Vec<&str> = texts
        .filter_map(|field| field.name.rsplit('.').next())
        // PostgreSQL's name for one of them.
        .chain(["statement"])
        .collect();
    names.sort_unstable();
    names.dedup();
    Prefilter::Member(Member::new(&names, NAME, ValueTest::IsNumber))
}

/// A level that is certainly not below this one.
fn lower_levels(least: &str) -> ValueTest {
    const WORDS: [(&str, &str); 8] = [
        ("info", level::INFO),
        ("LOG", level::INFO),
        ("notice", level::INFO),
        ("INFO", level::INFO),
        ("debug", level::DEBUG),
        ("DEBUG", level::DEBUG),
        ("trace", level::TRACE),
        ("TRACE", level::TRACE),
    ];
    let rank = |name: &str| level::ALL.iter().position(|level| *level == name);
    let is_lower = |level: &str| rank(level) > rank(least);
    let words = WORDS.into_iter().filter(|(_, level)| is_lower(level));
    ValueTest::LevelNotIn {
        words: words.map(|(word, _)| word).collect(),
        numbers: level::ALL.into_iter().filter(|level| is_lower(level)).collect(),
    }
}

#[cfg(test)]
mod tests;

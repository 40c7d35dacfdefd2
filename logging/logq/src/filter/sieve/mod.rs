//! What a line's bytes tell of a filter before the line is read.
//!
//! Architecture invariant: a line that [`Sieve::may_match`] refuses does not
//! match. Whatever is not certain is let through: characters that JSON may
//! write in another way, fields that the line's format or its origin gives.

mod member;

use line::{Document, Line, Origin, Time, normalize};
use memchr::{memchr, memmem};
use schema::{FIELDS, Kind, field, level};

use self::member::{Member, Test};
use super::{Comparison, Filter, Glob, needles::Needles};

/// What must be found in the bytes of every line that a filter wants.
#[derive(Debug)]
pub enum Sieve {
    /// Nothing is known of it.
    Maybe,
    /// No line of this origin.
    Never,
    /// All of them hold.
    All(Vec<Self>),
    /// One of them holds.
    Any(Vec<Self>),
    /// One of these texts is there.
    Contains(Needles),
    /// A JSON object has a member of which this holds, at whatever depth.
    Member(Member),
    /// The line's time, or the one that it may have by the runtime, lies so.
    Time(Member, Vec<(Comparison, Time)>),
}

/// What stands before a part of a name.
const NAME: &[u8] = b"\".";

/// Ends of the names under which a JSON object may have its time: also
/// `@timestamp`.
const TIMES: [&str; 3] = ["timestamp", "time", "ts"];

/// Ends of the names under which it may have its level: also `loglevel` and
/// `error_severity`.
const LEVELS: [&str; 3] = ["level", "severity", "lvl"];

/// A text field's value may also be a number, which is written anew.
const NUMBER_CHARS: &str = "0123456789.eE+-";

impl Sieve {
    /// What is known of the filter for lines of this origin.
    #[must_use]
    pub fn new(filter: &Filter, origin: &Origin) -> Self {
        // What every line of the origin has, whatever it says.
        let known = normalize(&Line::plain(b"{}", 0), origin);
        Builder { origin, known }.of(filter)
    }

    /// Whether every line is let through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        match self {
            Self::Maybe => true,
            Self::All(parts) => parts.iter().all(Self::is_open),
            _ => false,
        }
    }

    /// Whether a line can match. `plain`: whether it is known that it has
    /// none of what [`has_escapes`] looks for.
    #[must_use]
    pub fn may_match(&self, content: &[u8], time: Option<Time>, plain: bool) -> bool {
        match self {
            Self::Maybe => true,
            Self::Never => false,
            _ => (!plain && has_escapes(content)) || self.lets(content, time),
        }
    }

    fn lets(&self, content: &[u8], time: Option<Time>) -> bool {
        match self {
            Self::Maybe => true,
            Self::Never => false,
            Self::All(parts) => parts.iter().all(|part| part.lets(content, time)),
            Self::Any(parts) => parts.iter().any(|part| part.lets(content, time)),
            Self::Contains(needles) => needles.are_in(content),
            // Other lines get their fields in other ways.
            Self::Member(member) if content.first() == Some(&b'{') => member.is_in(content),
            Self::Member(member) => !member.is_of_json_alone(),
            Self::Time(member, bounds) => {
                let fits = |time: Time| {
                    bounds
                        .iter()
                        .all(|(comparison, bound)| comparison.holds(time.cmp(bound)))
                };
                time.is_some_and(fits)
                    || (content.first() == Some(&b'{')
                        && member.any(content, &mut |value| match value {
                            member::Value::Text(text) => time_of(text).is_some_and(fits),
                            member::Value::Number(seconds) => Time::from_seconds(seconds).is_some_and(fits),
                            member::Value::Other => true,
                        }))
            }
        }
    }
}

/// Whether the bytes hold what may stand for other characters: JSON's `\u`,
/// and colours, which are taken out of plain text.
#[must_use]
pub fn has_escapes(bytes: &[u8]) -> bool {
    memchr(0x1b, bytes).is_some() || memmem::find(bytes, b"\\u").is_some()
}

/// A time as any of the formats writes it.
fn time_of(text: &str) -> Option<Time> {
    Time::parse(text).or_else(|| {
        let utc = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT"))?;
        Time::parse(&format!("{utc}Z"))
    })
}

struct Builder<'a> {
    origin: &'a Origin,
    known: Document,
}

impl Builder<'_> {
    fn of(&self, filter: &Filter) -> Sieve {
        match filter {
            Filter::All(parts) => self.all(parts),
            Filter::Any(parts) => {
                let parts: Vec<Sieve> = parts.iter().map(|part| self.of(part)).collect();
                if parts.iter().any(Sieve::is_open) {
                    return Sieve::Maybe;
                }
                Sieve::Any(parts)
            }
            Filter::Not(_) => Sieve::Maybe,
            Filter::Text(pattern) => match Needles::of_regex(pattern.as_str()) {
                Some(needles) if needles.within(NUMBER_CHARS) => {
                    Sieve::Any(vec![Sieve::Contains(needles), numbers_as_texts()])
                }
                Some(needles) => Sieve::Contains(needles),
                None => Sieve::Maybe,
            },
            Filter::Level(least) => {
                Sieve::Member(Member::new(&LEVELS, b"\"._g", Test::AsGrave(harmless(least))))
            }
            Filter::Compare(name, comparison, value) => match value.time() {
                Some(time) if name == field::TIMESTAMP => Sieve::Time(
                    Member::new(&TIMES, b"\".@", Test::There),
                    vec![(*comparison, time)],
                ),
                _ => self.member(name, filter, || Test::Compare(*comparison, value.clone())),
            },
            Filter::Is(name, value) if name == field::TRACE_ID => {
                Needles::any_case(value.text()).map_or(Sieve::Maybe, Sieve::Contains)
            }
            Filter::Glob(name, glob) if name == field::TRACE_ID => {
                let begin = glob.as_str().trim_end_matches('*');
                let hex = begin.bytes().all(|byte| byte.is_ascii_hexdigit());
                let needles = hex.then(|| Needles::any_case(begin)).flatten();
                needles.map_or(Sieve::Maybe, Sieve::Contains)
            }
            Filter::Is(name, value) => self.member(name, filter, || Test::Is(value.clone())),
            Filter::Glob(name, glob) => {
                if name == field::COMPONENT && matches!(self.origin, Origin::Source(_)) {
                    return of_component(glob);
                }
                self.member(name, filter, || Test::Glob(glob.clone()))
            }
            Filter::Found(name, pattern) => self.member(name, filter, || Test::Found(pattern.clone())),
            Filter::Exists(name) => self.member(name, filter, || Test::There),
        }
    }

    fn all(&self, parts: &[Filter]) -> Sieve {
        let mut sieves: Vec<Sieve> = Vec::new();
        for part in parts {
            match self.of(part) {
                Sieve::Never => return Sieve::Never,
                // A line has one time: all bounds are asked of the same.
                Sieve::Time(member, more) => {
                    let bounds = sieves.iter_mut().find_map(|sieve| match sieve {
                        Sieve::Time(_, bounds) => Some(bounds),
                        _ => None,
                    });
                    match bounds {
                        Some(bounds) => bounds.extend(more),
                        None => sieves.push(Sieve::Time(member, more)),
                    }
                }
                Sieve::All(inner) => sieves.extend(inner),
                sieve if sieve.is_open() => {}
                sieve => sieves.push(sieve),
            }
        }
        match sieves.len() {
            0 => Sieve::Maybe,
            1 => sieves.pop().unwrap_or(Sieve::Maybe),
            _ => Sieve::All(sieves),
        }
    }

    /// A condition on a field that comes from a member of that name alone.
    fn member(&self, name: &str, filter: &Filter, test: impl FnOnce() -> Test) -> Sieve {
        if matches!(self.origin, Origin::Pod(_)) && is_of_pod(name) {
            return if filter.matches(&self.known) {
                Sieve::Maybe
            } else {
                Sieve::Never
            };
        }
        let last = name.rsplit('.').next().unwrap_or(name);
        let simple = !last.is_empty()
            && last
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if !simple || is_given_otherwise(name) || field::is_object(name) {
            return Sieve::Maybe;
        }
        let schema = field::by_name(name);
        // A field's number may have been written as a text, a text as a number.
        let test = Test::Of(schema.map(|field| field.kind), Box::new(test()));
        let member = Sieve::Member(Member::new(&[last], NAME, test));
        if name == field::DURATION_SECONDS {
            // PostgreSQL tells it in words.
            let words = Needles::any(&["duration: "]).map_or(Sieve::Maybe, Sieve::Contains);
            return Sieve::Any(vec![member, words]);
        }
        match schema {
            Some(_) => member,
            // A whole object that has names of its own can be asked for.
            None if matches!(filter, Filter::Exists(_)) => Sieve::Maybe,
            None => member,
        }
    }
}

/// What a path says, not the line.
fn is_of_pod(name: &str) -> bool {
    name == field::COMPONENT || name == "kubernetes" || name.starts_with("kubernetes.")
}

/// Objects and fields that are not only members of the same name.
const GIVEN_OTHERWISE: [&str; 16] = [
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
    "process",
];

fn is_given_otherwise(name: &str) -> bool {
    let object = name.split('.').next().unwrap_or(name);
    GIVEN_OTHERWISE.contains(&object) || ["postgresql", "rabbitmq"].contains(&object)
}

/// The component of a line that is not a pod's.
fn of_component(glob: &Glob) -> Sieve {
    let by_format = [schema::component::POSTGRES, schema::component::RABBITMQ];
    if by_format.iter().any(|component| glob.fits(component)) {
        return Sieve::Maybe;
    }
    let test = Test::Of(Some(Kind::Keyword), Box::new(Test::Glob(glob.clone())));
    Sieve::All(vec![
        // Plain text has none.
        Sieve::Contains(Needles::any(&["component"]).unwrap_or_default()),
        Sieve::Member(Member::new(&["component"], NAME, test)),
    ])
}

/// Members that become texts although they are numbers.
fn numbers_as_texts() -> Sieve {
    let texts = FIELDS.iter().filter(|field| field.kind == Kind::Text);
    let mut names: Vec<&str> = texts
        .filter_map(|field| field.name.rsplit('.').next())
        // PostgreSQL's name of one of them.
        .chain(["statement"])
        .collect();
    names.sort_unstable();
    names.dedup();
    Sieve::Member(Member::new(&names, NAME, Test::IsNumber))
}

/// Words that surely mean a level below this one.
fn harmless(least: &str) -> Vec<&'static str> {
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
    WORDS
        .into_iter()
        .filter(|(_, level)| rank(level) > rank(least))
        .map(|(word, _)| word)
        .collect()
}

#[cfg(test)]
mod tests;

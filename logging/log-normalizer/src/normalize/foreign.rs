//! JSON objects of other programs.

use std::borrow::Cow;

use schema::{field, level};

use super::{
    content::JOURNALD_BYTES,
    document_builder::DocumentBuilder,
    level::{self as words, LevelScale},
    members::{self, Role},
};
use crate::{
    Time,
    json::{Object, Value},
};

/// Serilog's time. Its lines without a level have the level Information.
const SERILOG_TIME: &str = "@t";
const SERILOG_LEVEL: &str = "@l";
/// GELF's message. Its level is a number of syslog.
const GELF_MESSAGE: &str = "short_message";
/// MySQL's level, beside the number of the message.
const MYSQL_LEVEL: &str = "label";
const MYSQL_CODE: &str = "err_code";
/// MongoDB's level, one letter, beside the time in an object.
const MONGODB_LEVEL: &str = "s";
const MONGODB_TIME: &str = "t";

/// zap writes its time as the second member. Another time in the line is the application's.
const ZAP_TIME: &str = "ts";
const ZAP_TIME_JSON: &str = "\"ts\":";
/// Where zap's time begins at the latest.
const MAX_ZAP_TIME_START: usize = 24;

const JOURNALD_MESSAGE: &str = "MESSAGE";

/// The best value of each role so far, with its rank.
#[derive(Default)]
pub(crate) struct Found<'a> {
    /// The member's name and text.
    pub(crate) message: Option<(usize, (&'a str, Cow<'a, str>))>,
    pub(crate) level: Option<(usize, &'static str)>,
    pub(crate) time: Option<(usize, Time)>,
    /// The time of a member without a zone, as UTC.
    pub(crate) time_without_zone: Option<(usize, Time)>,
    pub(crate) trace_id: Option<(usize, String)>,
}

/// The rank of values that count only in combination with others.
const LAST: usize = usize::MAX;

/// The rank of a value that counts before all others. No name has it: the first ones hold messages.
const FIRST: usize = 0;

/// Reads members that are certainly a message, a level, a time or a trace id; keeps all others in `fields`. Returns the
/// program's time, and a time without a zone. `text`: the whole line. `claims`: whether the line may name its component.
pub(super) fn read(
    builder: &mut DocumentBuilder,
    members: &Object<'_>,
    text: &str,
    claims: bool,
) -> (Option<Time>, Option<Time>) {
    let found = Found::among(members, text);
    let times = found.set_facts(builder);
    let component = members.get(field::COMPONENT).and_then(Value::as_str);
    if let Some(component) = component.filter(|_| claims) {
        builder.set_text(field::COMPONENT, component);
    }
    let (message_name, message) = found
        .message
        .map_or((None, text.into()), |(_, (name, message))| (Some(name), message));
    builder.set(field::MESSAGE, message.into());
    for (name, value) in members.iter() {
        if Some(name) != message_name {
            builder.set_unmapped(name, (*value).into());
        }
    }
    times
}

/// Reads the level, the trace id and the times; [`read`] describes the result.
pub(super) fn read_facts(
    builder: &mut DocumentBuilder,
    members: &Object<'_>,
    text: &str,
) -> (Option<Time>, Option<Time>) {
    Found::among(members, text).set_facts(builder)
}

impl<'a> Found<'a> {
    fn set_facts(&self, builder: &mut DocumentBuilder) -> (Option<Time>, Option<Time>) {
        if let Some((_, level)) = self.level {
            builder.set_text(field::LEVEL, level);
        }
        if let Some((_, trace_id)) = &self.trace_id {
            builder.set_text(field::TRACE_ID, trace_id);
        }
        let without_rank = |(_, time)| time;
        (
            self.time.map(without_rank),
            self.time_without_zone.map(without_rank),
        )
    }

    pub(crate) fn among(members: &Object<'a>, text: &str) -> Self {
        let mut found = Self::default();
        let is_gelf = members.get(GELF_MESSAGE).is_some();
        let start = text.get(..text.floor_char_boundary(MAX_ZAP_TIME_START + ZAP_TIME_JSON.len()));
        let is_zap = start.is_some_and(|start| start.contains(ZAP_TIME_JSON));
        for (name, value) in members.iter() {
            match members::role(name) {
                Some((rank, Role::Level(LevelScale::Bunyan))) if is_gelf => {
                    found.level(rank, value, LevelScale::Syslog);
                    found.level(rank, value, LevelScale::Bunyan);
                }
                Some((_, role)) if is_zap && name == ZAP_TIME => found.member(name, FIRST, role, value),
                Some((rank, role)) => found.member(name, rank, role, value),
                None => {}
            }
        }
        found.special(members);
        let is_array = |message: &Value<'_>| message.as_array().is_some();
        if members.get(JOURNALD_MESSAGE).is_some_and(is_array) && text.contains(JOURNALD_BYTES) {
            better(&mut found.message, LAST, || {
                let text = journald_text(members.get(JOURNALD_MESSAGE)?)?;
                Some((JOURNALD_MESSAGE, text.into()))
            });
        }
        found
    }

    fn member(&mut self, name: &'a str, rank: usize, role: Role, value: &Value<'a>) {
        match role {
            Role::Message => better(&mut self.message, rank, || Some((name, value.as_str()?.into()))),
            Role::Level(scale) => self.level(rank, value, scale),
            Role::Time => {
                better(&mut self.time, rank, || time(value));
                better(&mut self.time_without_zone, rank, || {
                    Time::from_text_without_zone(value.as_str()?)
                });
            }
            Role::TraceId => better(&mut self.trace_id, rank, || {
                trace_id(value.as_str()?.rsplit('/').next()?)
            }),
        }
    }

    fn level(&mut self, rank: usize, value: &Value<'_>, scale: LevelScale) {
        better(&mut self.level, rank, || words::from_value(value, scale));
    }

    /// Reads values that count only in combination with others.
    fn special(&mut self, members: &Object<'a>) {
        let within = |object: &str, name: &str| members.get(object)?.as_object()?.get(name);
        if let Some(level) = within("log", "level") {
            self.level(LAST, level, LevelScale::Bunyan);
        }
        if let Some(Value::String(id)) = within("trace", "id") {
            better(&mut self.trace_id, LAST, || trace_id(id));
        }
        // Loguru.
        if let Some(level) = within("record", "level")
            && let Some(name) = level.as_object().and_then(|level| level.get("name"))
        {
            self.level(LAST, name, LevelScale::Bunyan);
        }
        // Falco.
        if members.get("rule").is_some()
            && members.get("output").is_some()
            && let Some(priority) = members.get("priority")
        {
            self.level(LAST, priority, LevelScale::Bunyan);
        }
        if within(MONGODB_TIME, "$date").is_some()
            && let Some(level) = members.get(MONGODB_LEVEL)
        {
            self.level(LAST, level, LevelScale::Bunyan);
        }
        if members.get(MYSQL_CODE).is_some()
            && let Some(level) = members.get(MYSQL_LEVEL)
        {
            self.level(LAST, level, LevelScale::Bunyan);
        }
        if members.get(SERILOG_TIME).is_some() && members.get(SERILOG_LEVEL).is_none() {
            better(&mut self.level, LAST, || Some(level::INFO));
        }
    }
}

/// Replaces a value of a higher rank.
fn better<T>(best: &mut Option<(usize, T)>, rank: usize, value: impl FnOnce() -> Option<T>) {
    if best.as_ref().is_none_or(|(least, _)| rank < *least)
        && let Some(value) = value()
    {
        *best = Some((rank, value));
    }
}

/// A time as a text, a number or an object.
fn time(value: &Value<'_>) -> Option<Time> {
    match value {
        Value::String(text) => Time::from_text(text),
        Value::Number(number) => Time::from_epoch(&number.to_owned_number()),
        Value::Object(parts) => {
            // MongoDB.
            if let Some(date) = parts.get("$date") {
                return Time::from_text(date.as_str()?);
            }
            // Monolog.
            if let Some(date) = parts.get("date") {
                let zone = parts.get("timezone").and_then(Value::as_str)?;
                return Time::from_text(&format!("{} {zone}", date.as_str()?));
            }
            // Log4j, Google.
            let (seconds, nanos) = match (parts.get("epochSecond"), parts.get("seconds")) {
                (Some(seconds), _) => (seconds, parts.get("nanoOfSecond")),
                (None, seconds) => (seconds?, parts.get("nanos")),
            };
            let nanos = nanos.map_or(Some(0), Value::as_i64)?;
            let seconds = match seconds {
                Value::String(text) => text.parse().ok()?,
                seconds => seconds.as_i64()?,
            };
            Time::from_seconds_and_nanos(seconds, nanos)
        }
        _ => None,
    }
}

/// journald writes a message with control characters, or without UTF-8, as an array of bytes.
fn journald_text(bytes: &Value<'_>) -> Option<String> {
    let byte = |value: &Value<'_>| u8::try_from(value.as_i64()?).ok();
    let bytes: Option<Vec<u8>> = bytes.as_array()?.iter().map(byte).collect();
    String::from_utf8(bytes?).ok()
}

/// A trace id in lower case: 32 hex digits, not all zero (W3C Trace Context).
pub(super) fn trace_id(text: &str) -> Option<String> {
    let is_one = text.len() == 32
        && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        && text.bytes().any(|byte| byte != b'0');
    is_one.then(|| text.to_ascii_lowercase())
}

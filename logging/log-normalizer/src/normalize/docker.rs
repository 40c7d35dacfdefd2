//! Lines of Docker's `json-file` driver: `{"log":"…\\n","stream":"stdout","time":"…"}`.

use super::{Context, Facts, content::DOCKER_START, document_builder::DocumentBuilder};
use crate::{
    Stream, Time,
    json::{self, Arena, Object, Value},
};

/// The program's line in a line of Docker's files, and Docker's time; None for any other line, and with attributes.
/// `is_bare`: whether no prefix was removed from the line.
#[must_use]
pub fn docker_content<'a>(line: &'a [u8], is_bare: bool, arena: &'a Arena) -> Option<(&'a str, Time)> {
    if !is_bare || !line.starts_with(DOCKER_START.as_bytes()) {
        return None;
    }
    let line = std::str::from_utf8(line).ok()?;
    let wrapper = Wrapper::open(line, &json::parse(line, arena)?, is_bare)?;
    wrapper
        .attributes
        .is_none()
        .then_some((wrapper.content, wrapper.time))
}

/// Members that the driver adds to some lines.
const ATTRIBUTES: &str = "attrs";

/// Docker's members around a program's line.
pub(crate) struct Wrapper<'a> {
    /// The program's line.
    pub(crate) content: &'a str,
    pub(crate) stream: Stream,
    pub(crate) time: Time,
    pub(crate) attributes: Option<Value<'a>>,
}

impl<'a> Wrapper<'a> {
    /// None for a line that Docker did not write. `is_bare`: whether no prefix was removed from the line.
    pub(crate) fn open(line: &str, members: &Object<'a>, is_bare: bool) -> Option<Self> {
        if !is_bare || !line.starts_with(DOCKER_START) {
            return None;
        }
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let attributes = members.get(ATTRIBUTES).copied();
        let is_whole = members.len() == 3 + usize::from(attributes.is_some());
        is_whole.then_some(Self {
            content: text("log")?.trim_end_matches(['\r', '\n']),
            stream: Stream::from_name(text("stream")?)?,
            time: Time::parse(text("time")?)?,
            attributes,
        })
    }

    /// Reads the program's line.
    pub(super) fn read(self, builder: &mut DocumentBuilder) -> Facts {
        let context = Context {
            claims: true,
            after_time: false,
            is_bare: false,
        };
        let facts = super::read(builder, self.content, context);
        if let Some(attributes) = self.attributes {
            builder.set_unmapped(ATTRIBUTES, attributes.into());
        }
        Facts {
            time: facts.time.or(Some(self.time)),
            stream: Some(self.stream),
            ..facts
        }
    }
}

//! A tidy line as the JSON of its document.

use std::fmt::Write;

use schema::field;

use super::{NAMES, Scalar, Tidy};
use crate::{Line, Origin, normalize};

/// Writes the members of nested objects under their dotted names, which have
/// to come in their order.
struct Nested<'a> {
    out: &'a mut String,
    /// The objects that are open, beside the outermost.
    open: Vec<&'static str>,
    begun: bool,
}

impl Nested<'_> {
    /// Everything before the value of this name.
    fn name(&mut self, name: &'static str) {
        let (objects, last) = name.rsplit_once('.').unwrap_or(("", name));
        let objects = || objects.split('.').filter(|part| !part.is_empty());
        let same = self.open.iter().zip(objects()).take_while(|(a, b)| **a == *b);
        let same = same.count();
        self.close(same);
        if self.begun {
            self.out.push(',');
        }
        for object in objects().skip(same) {
            self.key(object);
            self.out.push('{');
            self.open.push(object);
        }
        self.key(last);
        self.begun = true;
    }

    fn key(&mut self, key: &str) {
        self.out.push('"');
        self.out.push_str(key);
        self.out.push_str("\":");
    }

    fn close(&mut self, kept: usize) {
        while self.open.len() > kept {
            self.open.pop();
            self.out.push('}');
        }
    }
}

impl Tidy<'_> {
    /// Adds what [`Document::to_json`] gives for the line. `line` and `origin`
    /// are those that it was read from, and it [`Self::is_whole`].
    ///
    /// [`Document::to_json`]: crate::Document::to_json
    pub fn put_json(&self, line: &Line<'_>, origin: &Origin, out: &mut String) {
        let text = String::from_utf8_lossy(&line.content);
        out.push('{');
        let mut nested = Nested {
            out,
            open: Vec::new(),
            begun: false,
        };
        let mut id = Some(normalize::id(line, origin, &text));
        let mut block = match origin {
            Origin::Pod(pod) => Some(pod.block()),
            Origin::Source(_) => None,
        };
        let mut put_own = |nested: &mut Nested<'_>, before: Option<&str>| {
            let comes = |name: &str| before.is_none_or(|before| name < before);
            if comes(field::EVENT_ID)
                && let Some(id) = id.take()
            {
                nested.name(field::EVENT_ID);
                put_text(&id, nested.out);
            }
            if comes("kubernetes")
                && let Some(block) = block.take()
            {
                nested.name("kubernetes");
                nested
                    .out
                    .push_str(&serde_json::to_string(block).unwrap_or_default());
            }
        };
        for (place, value) in &self.members {
            let Some(field) = NAMES.fields.get(*place) else {
                continue;
            };
            put_own(&mut nested, Some(field.name));
            nested.name(field.name);
            // Writing to a string does not fail.
            let _ = match value {
                _ if *place == NAMES.timestamp => write!(nested.out, "\"{}\"", self.time),
                Scalar::Text(text) => {
                    put_text(text, nested.out);
                    Ok(())
                }
                Scalar::Number(number) => write!(nested.out, "{number}"),
                Scalar::Bool(value) => write!(nested.out, "{value}"),
            };
        }
        put_own(&mut nested, None);
        nested.close(0);
        nested.out.push('}');
    }
}

fn put_text(text: &str, out: &mut String) {
    let simple = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(simple) {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        out.push_str(&serde_json::to_string(text).unwrap_or_default());
    }
}

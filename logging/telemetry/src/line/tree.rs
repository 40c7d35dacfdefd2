//! Dotted names become nested objects.

use super::value::Value;

/// Parts of a dotted name beyond this many stay one part, dots and all.
const MAX_DEPTH: usize = 8;

/// Top-level names that the line writes itself. A field of such a name goes
/// into the object `fields`.
const RESERVED: [&str; 10] = [
    schema::field::TIMESTAMP,
    schema::field::LEVEL,
    schema::field::MESSAGE,
    schema::field::COMPONENT,
    "service",
    schema::field::TRACE_ID,
    schema::field::SPAN_ID,
    "kubernetes",
    schema::field::TARGET,
    schema::field::TRUNCATED,
];

/// What a value is called that shares its name with an object.
pub(crate) const OWN_VALUE: &str = "value";

/// A value, an object, or (`a` and `a.b` were both set) both.
#[derive(Debug, Default)]
pub(crate) struct Node<'a> {
    pub(crate) value: Option<&'a Value>,
    pub(crate) children: Vec<(&'a str, Self)>,
}

impl<'a> Node<'a> {
    fn child(&mut self, name: &'a str) -> &mut Self {
        let index = self
            .children
            .iter()
            .position(|(known, _)| *known == name)
            .unwrap_or(self.children.len());
        if index == self.children.len() {
            self.children.push((name, Self::default()));
        }
        &mut self.children[index].1
    }
}

/// The fields as an object, in the order in which they were set. Of two values
/// of one name the later stays.
pub(crate) fn nest<'a>(fields: impl Iterator<Item = (&'a str, &'a Value)>) -> Node<'a> {
    let mut top = Node::default();
    for (name, value) in fields {
        let mut parts = name.split('.').filter(|part| !part.is_empty());
        let node = match parts.next() {
            Some(first) if RESERVED.contains(&first) => top.child(schema::field::FIELDS_OTHER).child(name),
            Some(first) if first.len() == name.len() && schema::field::is_object(name) => {
                top.child(name).child(OWN_VALUE)
            }
            Some(_) => place(&mut top, name),
            None => top.child(OWN_VALUE),
        };
        node.value = Some(value);
    }
    top
}

fn place<'a, 'b>(top: &'b mut Node<'a>, name: &'a str) -> &'b mut Node<'a> {
    name.splitn(MAX_DEPTH, '.')
        .filter(|part| !part.is_empty())
        .fold(top, Node::child)
}

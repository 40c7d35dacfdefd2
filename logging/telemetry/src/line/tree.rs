//! Dotted names become nested objects.

use super::value::RecordedValue;

/// Parts of a dotted name beyond this many stay one part, dots and all.
const MAX_DEPTH: usize = 8;

/// Top-level names that the line writes itself. A field of such a name goes into the object `fields`.
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

/// The member for a value whose name is also that of an object.
pub(crate) const VALUE_MEMBER: &str = "value";

/// A value, an object, or (`a` and `a.b` were both set) both.
#[derive(Debug, Default)]
pub(crate) struct FieldTree<'a> {
    pub(crate) value: Option<&'a RecordedValue>,
    pub(crate) children: Vec<(&'a str, Self)>,
}

impl<'a> FieldTree<'a> {
    fn child(&mut self, name: &'a str) -> &mut Self {
        let index = self
            .children
            .iter()
            .position(|(existing, _)| *existing == name)
            .unwrap_or(self.children.len());
        if index == self.children.len() {
            self.children.push((name, Self::default()));
        }
        &mut self.children[index].1
    }
}

/// Nests the fields as an object, in the order in which they were set. A later value replaces an earlier one of the same
/// name.
pub(crate) fn nest<'a>(fields: impl Iterator<Item = (&'a str, &'a RecordedValue)>) -> FieldTree<'a> {
    let mut top = FieldTree::default();
    for (name, value) in fields {
        let mut parts = name.split('.').filter(|part| !part.is_empty());
        let node = match parts.next() {
            Some(first) if RESERVED.contains(&first) => top.child(schema::field::FIELDS_OTHER).child(name),
            Some(first) if first.len() == name.len() && schema::field::is_object(name) => {
                top.child(name).child(VALUE_MEMBER)
            }
            Some(_) => insert_path(&mut top, name),
            None => top.child(VALUE_MEMBER),
        };
        node.value = Some(value);
    }
    top
}

fn insert_path<'a, 'b>(top: &'b mut FieldTree<'a>, name: &'a str) -> &'b mut FieldTree<'a> {
    name.splitn(MAX_DEPTH, '.')
        .filter(|part| !part.is_empty())
        .fold(top, FieldTree::child)
}

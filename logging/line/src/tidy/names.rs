//! The schema's names as the tree that they are in a line.

use std::sync::LazyLock;

use schema::{FIELDS, Field, field};

/// A member of a line of ours.
#[derive(Debug)]
pub(super) struct Name {
    pub(super) key: &'static str,
    pub(super) what: What,
}

/// What a member is.
#[derive(Debug)]
pub(super) enum What {
    /// A field, by its place in [`Names::fields`].
    Field(usize),
    /// An object of fields, by its own number.
    Object(usize, Vec<Name>),
}

/// All names.
#[derive(Debug)]
pub(super) struct Names {
    /// Those at the top, sorted.
    pub(super) top: Vec<Name>,
    /// Every field, in the order of a document whose keys are sorted.
    pub(super) fields: Vec<&'static Field>,
    /// Those that every line is asked for.
    pub(super) timestamp: usize,
    pub(super) level: usize,
    pub(super) message: usize,
    pub(super) component: usize,
    pub(super) iostream: usize,
}

impl Names {
    /// A field's place.
    pub(super) fn place(fields: &[&Field], name: &str) -> Option<usize> {
        let parts = || name.split('.');
        fields
            .binary_search_by(|field| field.name.split('.').cmp(parts()))
            .ok()
    }
}

pub(super) static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut fields: Vec<&'static Field> = FIELDS.iter().collect();
    fields.sort_by_key(|field| field.name.split('.').collect::<Vec<_>>());
    let top = level(&fields, 0, 0, &mut 0);
    let place = |name| Names::place(&fields, name).unwrap_or(usize::MAX);
    Names {
        timestamp: place(field::TIMESTAMP),
        level: place(field::LEVEL),
        message: place(field::MESSAGE),
        component: place(field::COMPONENT),
        iostream: place(field::LOG_IOSTREAM),
        top,
        fields,
    }
});

/// The names of these fields from the depth on; `first` is the place of the
/// first of them.
fn level(fields: &[&'static Field], first: usize, depth: usize, objects: &mut usize) -> Vec<Name> {
    let part = |field: &'static Field| field.name.split('.').nth(depth).unwrap_or_default();
    let mut names = Vec::new();
    let mut at = first;
    for group in fields.chunk_by(|a, b| part(a) == part(b)) {
        let Some(one) = group.first() else { continue };
        let is_field = one.name.split('.').count() == depth + 1;
        let what = if is_field {
            What::Field(at)
        } else {
            *objects += 1;
            let own = *objects;
            What::Object(own, level(group, at, depth + 1, objects))
        };
        names.push(Name { key: part(one), what });
        at += group.len();
    }
    names
}

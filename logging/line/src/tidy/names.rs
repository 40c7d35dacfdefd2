//! The schema's names as the tree that they are in a line.

use std::sync::LazyLock;

use schema::{FIELDS, Field, Kind, field};

/// A member of a line of ours.
#[derive(Debug)]
pub(super) struct Name {
    key: &'static str,
    slot: usize,
    pub(super) what: What,
    /// Whether a pod's path says it better than the line.
    pub(super) is_of_pod: bool,
}

/// What a member is. Fields have their places in [`Names::fields`].
#[derive(Debug)]
pub(super) enum What {
    /// A field that is taken as it is.
    Field(usize, Kind),
    /// Labels.
    Labels(usize),
    /// A field that a line cannot have without something to be done.
    Refused(usize),
    /// An object of fields, with its own number.
    Object(usize, Box<Level>),
}

/// The names within one object.
#[derive(Debug)]
pub(super) struct Level {
    names: Vec<Name>,
    /// By [`slot`], the number of the first name that goes there, and one more.
    slots: [u8; SLOTS],
}

const SLOTS: usize = 256;

/// Names seldom share a slot; those that do stand side by side.
fn slot(key: &str) -> usize {
    let bytes = key.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().map_or(0, usize::from);
    (byte(0) * 7 + byte(2) * 31 + byte(bytes.len() / 2) * 5 + bytes.len() * 3) % SLOTS
}

impl Level {
    fn new(mut names: Vec<Name>) -> Self {
        names.sort_by_key(|name| name.slot);
        let mut slots = [0; SLOTS];
        for (number, name) in (1..).zip(&names) {
            if let Some(slot @ 0) = slots.get_mut(name.slot) {
                *slot = number;
            }
        }
        Self { names, slots }
    }

    /// The member of this name.
    pub(super) fn get(&self, key: &str) -> Option<&Name> {
        let own = slot(key);
        let first = usize::from(*self.slots.get(own)?).checked_sub(1)?;
        let rest = self.names.get(first..)?.iter();
        rest.take_while(|name| name.slot == own)
            .find(|name| name.key == key)
    }
}

/// All names.
#[derive(Debug)]
pub(super) struct Names {
    /// Those at the top.
    pub(super) top: Level,
    /// Every field, in the order of a document whose keys are sorted.
    pub(super) fields: Vec<&'static Field>,
    /// Those that every line is asked for.
    pub(super) timestamp: usize,
    pub(super) level: usize,
    pub(super) message: usize,
    pub(super) component: usize,
    pub(super) iostream: usize,
    pub(super) stacktrace: usize,
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
        stacktrace: place(field::EXCEPTION_STACKTRACE),
        top,
        fields,
    }
});

/// The names of these fields from the depth on; `first` is the place of the
/// first of them.
fn level(fields: &[&'static Field], first: usize, depth: usize, objects: &mut usize) -> Level {
    let part = |field: &'static Field| field.name.split('.').nth(depth).unwrap_or_default();
    let mut names = Vec::new();
    let mut at = first;
    for group in fields.chunk_by(|a, b| part(a) == part(b)) {
        let Some(one) = group.first() else { continue };
        let is_field = one.name.split('.').count() == depth + 1;
        let what = if !is_field {
            *objects += 1;
            let own = *objects;
            What::Object(own, Box::new(level(group, at, depth + 1, objects)))
        } else {
            match (one.name, one.kind) {
                (field::KUBERNETES_LABELS | field::KUBERNETES_OTHER_LABELS, _) => What::Labels(at),
                (field::LOG_IOSTREAM | field::EVENT_ID, _) => What::Refused(at),
                (_, Kind::Keywords | Kind::KeywordMap | Kind::FlatObject | Kind::Date) => What::Refused(at),
                (_, kind) => What::Field(at, kind),
            }
        };
        let key = part(one);
        let is_of_pod = depth == 0 && (key == "kubernetes" || key == field::COMPONENT);
        names.push(Name {
            key,
            slot: slot(key),
            what,
            is_of_pod,
        });
        at += group.len();
    }
    Level::new(names)
}

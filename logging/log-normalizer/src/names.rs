//! Names of fields: those of the schema as a tree, and the limits of OpenSearch.

use std::sync::LazyLock;

use rustc_hash::FxHashMap;
use schema::{FIELDS, Field};

/// Maximum nesting of a flat object; deeper values become texts. With [`MAX_FLAT_NAME_BYTES`] and
/// [`schema::MAX_TERM_BYTES`], a path with its value stays below Lucene's limit of 32,766 bytes.
pub(crate) const MAX_FLAT_DEPTH: usize = 10;

/// Maximum length of a name in a flat object.
pub(crate) const MAX_FLAT_NAME_BYTES: usize = 512;

/// Whether OpenSearch treats a name as empty: only white space by Unicode or Java.
pub(crate) fn is_blank(name: &str) -> bool {
    name.chars()
        .all(|c| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// The names within one object, or a field.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) field: Option<&'static Field>,
    inner: FxHashMap<&'static str, Self>,
}

/// The names of a document.
pub(crate) static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let mut root = Names::default();
    for field in FIELDS {
        let mut names = &mut root;
        for key in field.name.split('.') {
            names = names.inner.entry(key).or_default();
        }
        names.field = Some(field);
    }
    root
});

impl Names {
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        self.inner.get(key)
    }
}

fn find(name: &str) -> Option<&'static Names> {
    name.split('.').try_fold(&*NAMES, |names, key| names.get(key))
}

/// The field with this dotted name.
pub(crate) fn field(name: &str) -> Option<&'static Field> {
    find(name)?.field
}

/// Whether other fields are nested in an object with this dotted name.
pub(crate) fn is_object(name: &str) -> bool {
    find(name).is_some_and(|names| !names.inner.is_empty())
}

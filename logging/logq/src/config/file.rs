//! Parses the configuration file.

use std::{
    fs,
    io::{self, ErrorKind, Read},
    os::unix::fs::{FileTypeExt, PermissionsExt},
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    connection,
    options::{self, ConfigurableOptions, ValueKind},
};
use crate::{
    suggestion::suggestion,
    time::{Clock, Edge, is_all},
    view::{FileLocation, View, is_built_in},
};

const MAX_FILE_BYTES: u64 = 1024 * 1024;

#[derive(Clone, PartialEq, Eq)]
pub enum ConfigValue {
    Bool(bool),
    /// A text or a number.
    Text(String),
    List(Vec<String>),
}

pub struct ConfigEntry {
    /// For example `opensearch.url`.
    pub key: String,
    pub value: ConfigValue,
    pub location: FileLocation,
}

/// The parsed file.
pub struct ConfigFile {
    pub path: PathBuf,
    pub entries: Vec<ConfigEntry>,
    pub views: Vec<View>,
    /// Invalid views: name and error.
    pub bad_views: Vec<(String, String)>,
}

impl ConfigFile {
    /// Reads the file. None if it does not exist and is not required.
    ///
    /// # Errors
    /// All errors.
    pub fn read(
        path: &Path,
        required: bool,
        options: &ConfigurableOptions,
    ) -> Result<Option<Self>, Vec<String>> {
        let read = |error: std::io::Error| {
            vec![format!(
                "{}: cannot read the configuration: {error}",
                path.display()
            )]
        };
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound && !required => return Ok(None),
            Err(error) => return Err(read(error)),
        };
        let kind = metadata.file_type();
        // Opening a pipe without a writer would block forever. A shell's <(…) has a writer.
        let is_open = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
        let can_end = kind.is_file() || kind.is_char_device() || (kind.is_fifo() && is_open);
        if !can_end {
            let what = if kind.is_dir() {
                "a folder"
            } else {
                "not a regular file"
            };
            return Err(read(io::Error::other(format!("it is {what}"))));
        }
        let mut text = String::new();
        let file = fs::File::open(path).map_err(read)?;
        let length = file
            .take(MAX_FILE_BYTES + 1)
            .read_to_string(&mut text)
            .map_err(read)?;
        if length as u64 > MAX_FILE_BYTES {
            let what = format!("it is longer than {MAX_FILE_BYTES} bytes");
            return Err(read(io::Error::other(what)));
        }
        Self::parse(path, &text, metadata.permissions().mode(), options).map(Some)
    }

    /// Parses the text. `mode`: the file's permission bits.
    ///
    /// # Errors
    /// All errors.
    pub fn parse(
        path: &Path,
        text: &str,
        mode: u32,
        options: &ConfigurableOptions,
    ) -> Result<Self, Vec<String>> {
        let mut parser = FileParser {
            text,
            mode,
            options,
            errors: Vec::new(),
            bad_views: Vec::new(),
            file: Self {
                path: path.to_owned(),
                entries: Vec::new(),
                views: Vec::new(),
                bad_views: Vec::new(),
            },
        };
        match DeTable::parse(text) {
            Ok(table) => parser.table(table.get_ref()),
            Err(error) => {
                let at = error.span().map_or(0, |span| span.start);
                // Do not print the line: it may contain a password.
                let what = format!("{} (put texts in \"quotation marks\")", error.message());
                parser.add_error(at, &what);
            }
        }
        parser.bad_views.sort();
        if parser.errors.is_empty() {
            let bad = parser.bad_views.into_iter();
            parser.file.bad_views = bad.map(|(_, name, text)| (name, text)).collect();
            return Ok(parser.file);
        }
        let of_views = parser.bad_views.into_iter().map(|(at, _, text)| (at, text));
        parser.errors.extend(of_views);
        parser.errors.sort();
        Err(parser.errors.into_iter().map(|(_, text)| text).collect())
    }

    pub fn get(&self, key: &str) -> Option<&ConfigValue> {
        self.entry(key).map(|entry| &entry.value)
    }

    pub fn entry(&self, key: &str) -> Option<&ConfigEntry> {
        self.entries.iter().find(|entry| entry.key == key)
    }
}

type Key<'i> = Spanned<std::borrow::Cow<'i, str>>;

struct FileParser<'a> {
    text: &'a str,
    mode: u32,
    options: &'a ConfigurableOptions,
    /// Errors with their byte offsets.
    errors: Vec<(usize, String)>,
    /// Errors in views, with offset and view name. They matter only if the user opens that view.
    bad_views: Vec<(usize, String, String)>,
    file: ConfigFile,
}

impl FileParser<'_> {
    fn location(&self, at: usize) -> FileLocation {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        FileLocation {
            path: self.file.path.clone(),
            line: 1 + before.iter().filter(|byte| **byte == b'\n').count(),
        }
    }

    fn add_error(&mut self, at: usize, what: &str) {
        self.errors.push((at, format!("{}: {what}", self.location(at))));
    }

    fn table(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                (connection::TABLE, DeValue::Table(inner)) => self.connection(inner),
                ("views", DeValue::Table(inner)) => self.views(inner),
                (name @ (connection::TABLE | "views"), _) => {
                    self.add_error(key.span().start, &format!("{name} must be a table: [{name}]"));
                }
                _ => self.option(key, value),
            }
        }
    }

    fn option(&mut self, key: &Key<'_>, value: &Spanned<DeValue<'_>>) {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        let Some(argument) = self.options.get(name) else {
            let tables = [connection::TABLE, "views"];
            let hint = suggestion(name, self.options.keys().chain(tables));
            return self.add_error(at, &format!("unknown setting {name:?}{hint}"));
        };
        let Some(value) = self.convert(name, value, options::value_kind(argument)) else {
            return;
        };
        let texts = options::texts(&value);
        let mut checked = options::check(argument, &texts);
        if name == "since"
            && let Some(text) = texts.first()
            && !is_all(text)
        {
            checked = Clock::system(true)
                .parse(text, Edge::Begin)
                .map(|_| ())
                .map_err(|error| error.to_string());
        }
        match checked {
            Ok(()) => self.add_entry(name.to_owned(), value, at),
            Err(why) => self.add_error(at, &format!("{name}: {why}")),
        }
    }

    fn convert(
        &mut self,
        name: &str,
        value: &Spanned<DeValue<'_>>,
        value_kind: ValueKind,
    ) -> Option<ConfigValue> {
        let found = value.get_ref();
        let text = |value: &DeValue<'_>| value.as_str().map(str::to_owned);
        let typed = match (value_kind, found) {
            (ValueKind::Bool, DeValue::Boolean(value)) => Some(ConfigValue::Bool(*value)),
            (ValueKind::List, DeValue::Array(values)) => values
                .iter()
                .map(|value| text(value.get_ref()))
                .collect::<Option<_>>()
                .map(ConfigValue::List),
            (ValueKind::List, value) => text(value).map(|text| ConfigValue::List(vec![text])),
            (ValueKind::Number, DeValue::Integer(number)) => {
                Some(ConfigValue::Text(number.as_str().to_owned()))
            }
            (ValueKind::Text | ValueKind::Number, value) => text(value).map(ConfigValue::Text),
            _ => None,
        };
        if typed.is_none() {
            let expected = match value_kind {
                ValueKind::Bool => "true or false",
                ValueKind::List => "a list of texts, [\"…\", \"…\"]",
                ValueKind::Text => "a text in quotation marks",
                ValueKind::Number => "a number",
            };
            let what = format!("{name} must be {expected}, not {}", kind_name(found));
            self.add_error(value.span().start, &what);
        }
        typed
    }

    fn add_entry(&mut self, key: String, value: ConfigValue, at: usize) {
        let location = self.location(at);
        self.file.entries.push(ConfigEntry { key, value, location });
    }

    fn connection(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let name = format!("{}.{}", connection::TABLE, key.get_ref());
            let at = key.span().start;
            let keys = connection::keys();
            if !keys.contains(&name) {
                let hint = suggestion(&name, keys.iter().map(String::as_str));
                self.add_error(at, &format!("unknown setting {name:?}{hint}"));
                continue;
            }
            let value_kind = if connection::is_number(&name) {
                ValueKind::Number
            } else {
                ValueKind::Text
            };
            let Some(value) = self.convert(&name, value, value_kind) else {
                continue;
            };
            if connection::is_secret(&name) && self.mode & 0o077 != 0 {
                let what = format!(
                    "other users can read {name} in this file (mode {:04o}). Run chmod 600 {}, or move it to \
                     a separate file and set {name}_file",
                    self.mode & 0o7777,
                    self.file.path.display()
                );
                self.add_error(at, &what);
                continue;
            }
            self.add_entry(name, value, at);
        }
    }

    fn views(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            let before = std::mem::take(&mut self.errors);
            if let DeValue::Table(inner) = value.get_ref() {
                self.view(key, inner);
            } else {
                let what = format!(
                    "views.{0} must be a table: [views.{0}] with about = \"…\" and options = [\"…\"]",
                    key.get_ref()
                );
                self.add_error(key.span().start, &what);
            }
            let bad = std::mem::replace(&mut self.errors, before);
            let name = key.get_ref();
            self.bad_views
                .extend(bad.into_iter().map(|(at, text)| (at, name.to_string(), text)));
        }
    }

    fn view(&mut self, key: &Key<'_>, table: &DeTable<'_>) {
        let name = key.get_ref().as_ref();
        let at = key.span().start;
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.starts_with('-') || !name.chars().all(is_allowed) {
            let what = format!("invalid view name {name:?}: use letters, digits, - and _");
            return self.add_error(at, &what);
        }
        if is_built_in(name) {
            let what = format!("{name} is a built-in view: choose another name");
            return self.add_error(at, &what);
        }
        let (mut about, mut words) = (String::new(), None);
        for (key, value) in table {
            let full = format!("views.{name}.{}", key.get_ref());
            match key.get_ref().as_ref() {
                "about" => {
                    if let Some(ConfigValue::Text(text)) = self.convert(&full, value, ValueKind::Text) {
                        about = text;
                    }
                }
                "options" => words = self.split_options(&full, value),
                other => {
                    let hint = suggestion(other, ["about", "options"]);
                    let what = format!("{full}: unknown key {other:?}; a view has about and options{hint}");
                    self.add_error(key.span().start, &what);
                }
            }
        }
        if !self.errors.is_empty() {
            return;
        }
        let Some(options) = words else {
            return self.add_error(
                at,
                &format!("views.{name} has no options: add options = [\"--level\", \"warn\"]"),
            );
        };
        let view = View {
            name: name.to_owned(),
            about,
            options,
            location: Some(self.location(at)),
        };
        match view.check(&self.options.command) {
            Ok(()) => self.file.views.push(view),
            Err(why) => self.add_error(at, &format!("views.{name}: {why}")),
        }
    }

    fn split_options(&mut self, name: &str, value: &Spanned<DeValue<'_>>) -> Option<Vec<String>> {
        if let Some(text) = value.get_ref().as_str() {
            let words = shlex::split(text);
            if words.is_none() {
                self.add_error(value.span().start, &format!("{name}: unclosed quotation mark"));
            }
            return words;
        }
        match self.convert(name, value, ValueKind::List)? {
            ConfigValue::List(words) => Some(words),
            ConfigValue::Bool(_) | ConfigValue::Text(_) => None,
        }
    }
}

const fn kind_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list of other values",
        DeValue::Table(_) => "a table",
    }
}

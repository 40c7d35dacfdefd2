//! Every field that our programs write is documented, and numeric fields get numbers.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use schema::{FIELDS, field::by_name};

const MACROS: [&str; 10] = [
    "trace!",
    "debug!",
    "info!",
    "warn!",
    "error!",
    "trace_span!",
    "debug_span!",
    "info_span!",
    "warn_span!",
    "error_span!",
];

/// The arguments of each macro call that writes a line or opens a span.
fn calls(source: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for name in MACROS {
        for (at, _) in source.match_indices(name) {
            let begins_a_word = source[..at].ends_with(|c: char| !c.is_alphanumeric() && c != '_');
            if let Some(inside) = source[at + name.len()..].trim_start().strip_prefix('(')
                && begins_a_word
            {
                let mut arguments = arguments(inside);
                if !name.contains("span") {
                    // What follows the message fills its places.
                    let is_message =
                        |argument: &String| argument.trim().starts_with('"') && field(argument).is_none();
                    let message = arguments.iter().position(is_message).unwrap_or(arguments.len());
                    arguments.truncate(message);
                }
                calls.push(arguments);
            }
        }
    }
    calls
}

/// Splits at the commas of the outermost level, until its parenthesis closes.
fn arguments(inside: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    for c in inside.chars() {
        if in_text {
            in_text = c != '"' || escaped;
            escaped = c == '\\' && !escaped;
        } else {
            match c {
                '"' => in_text = true,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    all.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        all.last_mut().unwrap().push(c);
    }
    all
}

/// The field that an argument sets: `name = value`, `%name`, `?name`, `name`.
fn field(argument: &str) -> Option<String> {
    let argument = argument.trim();
    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
    let name = name.trim();
    let quoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
    if let Some(name) = quoted {
        return argument
            .contains('=')
            .then(|| name.to_owned())
            .filter(|_| !value.is_empty());
    }
    let name = name.trim_start_matches(['%', '?']);
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '.';
    (name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(word)).then(|| name.to_owned())
}

/// Whether an argument writes text into a numeric field: the index would not find it by number.
fn is_text_in_numeric_field(argument: &str) -> bool {
    let is_numeric = field(argument)
        .and_then(|name| by_name(&name))
        .is_some_and(|field| matches!(field.kind.name(), "long" | "double"));
    let (name, value) = argument.split_once('=').unwrap_or((argument, ""));
    let is_text = |text: &str| text.trim().starts_with(['?', '%', '"']) || text.trim().starts_with("format!");
    is_numeric && (name.trim().starts_with(['?', '%']) || is_text(value))
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn every_field_is_documented_and_has_a_value_of_its_type() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut files = Vec::new();
    for folder in ["services", "logging", "services/anonymizer", "fluentd", "."] {
        for package in fs::read_dir(root.join(folder)).unwrap() {
            let sources = package.unwrap().path().join("src");
            if sources.is_dir() {
                rust_files(&sources, &mut files);
            }
        }
    }
    let mut used = 0;
    let mut unknown = BTreeMap::new();
    let mut text_in_numeric_fields = Vec::new();
    for file in files {
        let source = fs::read_to_string(&file).unwrap();
        for argument in calls(&source).into_iter().flatten() {
            let Some(name) = field(&argument) else { continue };
            used += 1;
            if is_text_in_numeric_field(&argument) {
                text_in_numeric_fields.push(argument.trim().to_owned());
            }
            // `error` is written as `error.message`, `otel.*` is for exported spans.
            let known = name == "error" || name.starts_with("otel.") || FIELDS.iter().any(|f| f.name == name);
            if !known {
                unknown.insert(name, file.strip_prefix(&root).unwrap().to_owned());
            }
        }
    }
    assert!(
        used > 20,
        "only {used} fields found: does the test still read the sources?"
    );
    assert!(
        unknown.is_empty(),
        "not in logging/schema/src/field.rs; use a name that is there, or add one: {unknown:#?}"
    );
    assert!(
        text_in_numeric_fields.is_empty(),
        "log a number, not text, in these fields: {text_in_numeric_fields:#?}"
    );
}

#[test]
fn text_in_a_numeric_field_is_found() {
    for argument in [
        " limit = ?TIMEOUT",
        "count = %n",
        "%count",
        "count = \"2\"",
        "duration_seconds = format!(\"2\")",
    ] {
        assert!(is_text_in_numeric_field(argument), "{argument}");
    }
    for argument in ["limit = 2", "count", "reason = ?reason", "error.type = \"x\""] {
        assert!(!is_text_in_numeric_field(argument), "{argument}");
    }
}

#[test]
fn what_counts_as_a_field() {
    let source = r#"
        fn f() {
            info!("no, {} {}", a, b);
            tracing::warn!(%error, photo.id = id.get(), outcome, "done, or (not)");
            info_span!("job", "error.type" = kind, photo.size_bytes = Empty);
            error!(target: TARGET, parent: &span, count = f(a, b), "x = {y}");
        }"#;
    let fields: Vec<_> = calls(source)
        .iter()
        .flatten()
        .filter_map(|argument| field(argument))
        .collect();
    assert_eq!(
        fields,
        [
            "error",
            "photo.id",
            "outcome",
            "count",
            "error.type",
            "photo.size_bytes"
        ]
    );
}

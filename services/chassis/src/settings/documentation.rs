//! A table of every variable that a program reads, made from the reading.

use std::fmt::Write;

/// What kind of value a variable takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A number.
    Number,
    /// `host:port`.
    Address,
    /// A size, see [`super::units::parse_bytes`].
    Bytes,
    /// A duration, see [`super::units::parse_duration`].
    Duration,
    /// `1`/`true` or `0`/`false`.
    Flag,
    /// Text that is never shown.
    Secret,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Address => "address",
            Self::Bytes => "size",
            Self::Duration => "duration",
            Self::Flag => "flag",
            Self::Secret => "secret",
        }
    }
}

/// What holds when a variable is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Default {
    /// That is a mistake.
    Required,
    /// Nothing: the variable is optional.
    Unset,
    /// This value.
    Value(String),
}

/// One variable of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name; `NAME_FILE` names a file that holds the value.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// What holds when it is not set.
    pub default: Default,
    /// What it does.
    pub about: String,
}

/// The variables as a Markdown table, in the order of reading.
#[must_use]
pub fn markdown_table(variables: &[Variable]) -> String {
    let mut table = String::from("| variable | kind | default | what it does |\n|---|---|---|---|\n");
    for variable in variables {
        let default = match &variable.default {
            Default::Required => "**required**".to_owned(),
            Default::Unset => "–".to_owned(),
            Default::Value(value) => format!("`{value}`"),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(
            table,
            "| `{}` | {} | {default} | {} |",
            variable.name,
            variable.kind.as_str(),
            variable.about.replace('|', "\\|")
        );
    }
    table
}

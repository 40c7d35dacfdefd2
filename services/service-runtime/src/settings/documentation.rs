//! The table of every variable that a program reads, generated from the reads.

use std::fmt::Write;

/// Type of a variable's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableKind {
    Text,
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

impl VariableKind {
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

/// What applies if a variable is not set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Default {
    /// A missing value is an error.
    Required,
    /// No value: the variable is optional.
    Unset,
    Value(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Name of the variable; `NAME_FILE` names a file with the value.
    pub name: String,
    pub kind: VariableKind,
    pub default: Default,
    /// What the variable does.
    pub about: String,
}

/// The variables as a Markdown table, in the order of the reads.
#[must_use]
pub fn markdown_table(variables: &[Variable]) -> String {
    let mut table = String::from("| variable | kind | default | what it does |\n|---|---|---|---|\n");
    for variable in variables {
        let default = match &variable.default {
            Default::Required => "**required**".to_owned(),
            Default::Unset => "–".to_owned(),
            Default::Value(value) => format!("`{value}`"),
        };
        // Writing to a `String` cannot fail.
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

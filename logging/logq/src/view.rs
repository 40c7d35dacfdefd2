//! Views: named sets of search options.

use std::{fmt, path::PathBuf};

/// PostgreSQL's log lines of the web service's polling queries (`POLL` in its module `database`), if they took less
/// than 100 ms.
const POLLS: &str = "^duration: [0-9]{1,2}([.][0-9]+)? ms  .*: /[*] poll [*]/";

/// The built-in views: name, description and options.
const VIEWS: [(&str, &str, &[&str]); 6] = [
    (
        "webservice-db",
        "the web service and its database, without polling queries",
        &["--component", "irmgard", "--with-db", "--exclude", POLLS],
    ),
    (
        "failed-photos",
        "photos that failed, with the reason",
        &["--field", "failure.reason exists"],
    ),
    (
        "slow-requests",
        "requests of 1 s or more",
        &["--field", "http.route exists", "--field", "duration_seconds>=1"],
    ),
    (
        "slow-statements",
        "PostgreSQL statements of 100 ms or more",
        &[
            "--field",
            "db.system.name=postgresql",
            "--field",
            "duration_seconds>=0.1",
        ],
    ),
    (
        "broker",
        "warnings and errors of the broker and its clients",
        &[
            "--component",
            "irmgard",
            "--component",
            "anonymizer",
            "--with-queue",
            "--level",
            "warn",
        ],
    ),
    ("trouble", "all warnings and errors", &["--level", "warn"]),
];

/// A line in the configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileLocation {
    pub path: PathBuf,
    /// Line number, from 1.
    pub line: usize,
}

impl fmt::Display for FileLocation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:{}", self.path.display(), self.line)
    }
}

/// A named set of options.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    pub name: String,
    /// Description.
    pub about: String,
    pub options: Vec<String>,
    /// The location in the configuration file; None for a built-in view.
    pub location: Option<FileLocation>,
}

impl View {
    /// Checks that a search accepts the options. `command`: the whole command line.
    ///
    /// # Errors
    /// clap's message.
    pub fn check(&self, command: &clap::Command) -> Result<(), String> {
        let words = ["logq"]
            .into_iter()
            .chain(self.options.iter().map(String::as_str));
        match command.clone().try_get_matches_from(words) {
            Ok(matches) if matches.subcommand_name().is_some() => {
                Err("a view contains only options, no command".to_owned())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let text = error.render().to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(first.strip_prefix("error: ").unwrap_or(first).to_owned())
            }
        }
    }

    /// The options as typed in a shell.
    #[must_use]
    pub fn typed(&self) -> String {
        let words = self.options.iter().map(String::as_str);
        shlex::try_join(words).unwrap_or_else(|_| self.options.join(" "))
    }
}

#[must_use]
pub fn is_built_in(name: &str) -> bool {
    VIEWS.iter().any(|(built_in, ..)| *built_in == name)
}

pub fn built_in_views() -> impl Iterator<Item = View> {
    VIEWS.iter().map(|(name, about, options)| View {
        name: (*name).to_owned(),
        about: (*about).to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        location: None,
    })
}

//! Views: named sets of search options.

use clap::Parser;

use super::{Cli, Search, parse::parse_with_view};
use crate::config::{Config, FileLocation};

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

#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    #[error("no view {name:?}; the views are {names}")]
    Unknown {
        name: String,
        /// Names of all views.
        names: String,
    },
    /// The first argument is an option instead of a name.
    #[error("{option:?} is an option. Put the view's name first; the views are {names}")]
    Option {
        option: String,
        /// Names of all views.
        names: String,
    },
    /// The view in the configuration file is invalid; one text per error.
    #[error("{}", .0.join("\n"))]
    Bad(Vec<String>),
    /// clap's error or help for the additional options.
    #[error(transparent)]
    Usage(#[from] clap::Error),
}

impl View {
    /// Checks that a search accepts the options.
    ///
    /// # Errors
    /// clap's message.
    pub fn check(&self) -> Result<(), String> {
        let words = ["logq"]
            .into_iter()
            .chain(self.options.iter().map(String::as_str));
        match Cli::try_parse_from(words) {
            Ok(cli) if cli.command.is_some() => Err("a view contains only options, no command".to_owned()),
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
pub fn is_shipped(name: &str) -> bool {
    VIEWS.iter().any(|(builtin, ..)| *builtin == name)
}

/// The built-in views, then those of the configuration file.
#[must_use]
pub fn views(config: &Config) -> Vec<View> {
    let shipped = VIEWS.iter().map(|(name, about, options)| View {
        name: (*name).to_owned(),
        about: (*about).to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
        location: None,
    });
    shipped.chain(config.views().iter().cloned()).collect()
}

/// The search for a view and additional options, which take precedence.
///
/// # Errors
/// [`ViewError`].
pub fn expand_view(arguments: &[String], config: &Config) -> Result<Search, ViewError> {
    let (name, more) = arguments
        .split_first()
        .map_or(("", [].as_slice()), |(name, more)| (name.as_str(), more));
    // After the name of a view, --help shows the help of a search.
    if ["--help", "-h"].contains(&name) {
        Cli::try_parse_from(["logq", "help", "view"])?;
    }
    let all = views(config);
    let Some(view) = all.iter().find(|view| view.name == name) else {
        let bad = config.bad_views().iter().filter(|(bad, _)| bad == name);
        let bad: Vec<String> = bad.map(|(_, why)| why.clone()).collect();
        if !bad.is_empty() {
            return Err(ViewError::Bad(bad));
        }
        let names: Vec<&str> = all.iter().map(|view| view.name.as_str()).collect();
        let names = names.join(", ");
        let name = name.to_owned();
        return Err(if name.starts_with('-') {
            ViewError::Option { option: name, names }
        } else {
            ViewError::Unknown { name, names }
        });
    };
    Ok(parse_with_view(&view.options, more, config)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::time::Clock, query::Query};

    #[test]
    fn every_view_has_options() {
        let config = Config::without_file(Box::new(|_| None));
        for (name, ..) in VIEWS {
            let typed = [name.to_owned(), "--since".to_owned(), "15m".to_owned()];
            let search = expand_view(&typed, &config).unwrap();
            let query = Query::from_options(&search.select, &search.time, &Clock::system(true)).unwrap();
            assert!(
                query.time_range.since.is_some() && search.select.namespace.is_empty(),
                "{name}"
            );
        }
        assert!(
            expand_view(&["nothing".to_owned()], &config)
                .unwrap_err()
                .to_string()
                .contains("failed-photos")
        );
    }
}

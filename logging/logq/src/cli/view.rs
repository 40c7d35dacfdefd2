//! Views: options that have a name.

use clap::Parser;

use super::{Cli, Search, parse::parse_with_view};
use crate::config::{Config, FileLocation};

/// Statements of the web service that are asked every few seconds (`POLL` of
/// its module `database`), as PostgreSQL logs them where they took less than
/// 100 ms.
const POLLS: &str = "^duration: [0-9]{1,2}([.][0-9]+)? ms  .*: /[*] poll [*]/";

/// The views that ship, each with what it is for and its options.
const VIEWS: [(&str, &str, &[&str]); 6] = [
    (
        "webservice-db",
        "the web service and its database, without what is asked every few seconds",
        &["--component", "irmgard", "--with-db", "--exclude", POLLS],
    ),
    (
        "failed-photos",
        "photos that could not be anonymised, and why",
        &["--field", "failure.reason exists"],
    ),
    (
        "slow-requests",
        "requests that took a second or more",
        &["--field", "http.route exists", "--field", "duration_seconds>=1"],
    ),
    (
        "slow-statements",
        "statements of PostgreSQL that took 100 ms or more",
        &[
            "--field",
            "db.system.name=postgresql",
            "--field",
            "duration_seconds>=0.1",
        ],
    ),
    (
        "broker",
        "what the broker complains about, and those who use it",
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
    (
        "trouble",
        "whatever is a warning or an error",
        &["--level", "warn"],
    ),
];

/// Options that have a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub about: String,
    /// The options.
    pub options: Vec<String>,
    /// Where it stands; nowhere if it ships.
    pub location: Option<FileLocation>,
}

/// Why a view is not shown.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// A name that none has.
    #[error("there is no view {name:?}; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// An option in the place of the name.
    #[error("{option:?} is an option: the name of a view comes first; there are {known}")]
    Option {
        /// What was typed.
        option: String,
        /// The views that there are.
        known: String,
    },
    /// It cannot be used; a line for each mistake.
    #[error("{}", .0.join("\n"))]
    Bad(Vec<String>),
    /// What is wrong with the options beside it, or help.
    #[error(transparent)]
    Usage(#[from] clap::Error),
}

impl View {
    /// Sees whether its options are some that a search takes.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self) -> Result<(), String> {
        let words = ["logq"]
            .into_iter()
            .chain(self.options.iter().map(String::as_str));
        match Cli::try_parse_from(words) {
            Ok(cli) if cli.command.is_some() => {
                Err("a view is made of options, and not of another command".to_owned())
            }
            Ok(_) => Ok(()),
            Err(error) => {
                let text = error.render().to_string();
                let first = text.lines().next().unwrap_or_default();
                Err(first.strip_prefix("error: ").unwrap_or(first).to_owned())
            }
        }
    }

    /// What it stands for, as one would type it.
    #[must_use]
    pub fn typed(&self) -> String {
        let words = self.options.iter().map(String::as_str);
        shlex::try_join(words).unwrap_or_else(|_| self.options.join(" "))
    }
}

/// Whether a view of this name ships.
#[must_use]
pub fn is_shipped(name: &str) -> bool {
    VIEWS.iter().any(|(known, ..)| *known == name)
}

/// The views that ship, and then the person's own.
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

/// The search that a view's name and further options stand for. What is typed
/// wins over what the view has.
///
/// # Errors
/// [`ViewError`].
pub fn expand_view(arguments: &[String], config: &Config) -> Result<Search, ViewError> {
    let (name, more) = arguments
        .split_first()
        .map_or(("", [].as_slice()), |(name, more)| (name.as_str(), more));
    // With a view's name it is the help of a search.
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
        let known = names.join(", ");
        let name = name.to_owned();
        return Err(if name.starts_with('-') {
            ViewError::Option { option: name, known }
        } else {
            ViewError::Unknown { name, known }
        });
    };
    Ok(parse_with_view(&view.options, more, config)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::time::Clock, query::Query};

    #[test]
    fn every_view_asks_for_something() {
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

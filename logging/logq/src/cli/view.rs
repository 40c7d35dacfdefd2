//! Views: options that have a name.

use clap::Parser;

use super::{Cli, Search};

/// The views that ship, each with what it is for and its options.
const VIEWS: [(&str, &str, &[&str]); 5] = [
    (
        "webservice-db",
        "the web service and its database",
        &["--component", "irmgard", "--with-db"],
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
        "broker",
        "what the broker and its clients complain about",
        &["--component", "irmgard", "--with-queue", "--level", "warn"],
    ),
    (
        "trouble",
        "whatever is a warning or an error",
        &["--level", "warn"],
    ),
];

/// A name that no view has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no view {name:?}; there are {known}")]
pub struct UnknownView {
    name: String,
    known: String,
}

/// The views that ship: name, what it is for, options.
#[must_use]
pub fn views() -> Vec<(&'static str, &'static str, String)> {
    let shown = |options: &[&str]| {
        let quoted = options.iter().map(|option| {
            if option.contains([' ', '>', '<']) {
                format!("'{option}'")
            } else {
                (*option).to_owned()
            }
        });
        quoted.collect::<Vec<_>>().join(" ")
    };
    VIEWS
        .iter()
        .map(|(name, meaning, options)| (*name, *meaning, shown(options)))
        .collect()
}

/// The search that a view's name and further options stand for.
///
/// # Errors
/// [`UnknownView`]. Options that clap refuses end the program, as those of
/// the main command line do.
pub fn expanded(arguments: &[String]) -> Result<Search, UnknownView> {
    let (name, more) = arguments
        .split_first()
        .map_or(("", [].as_slice()), |(name, more)| (name.as_str(), more));
    let found = VIEWS.iter().find(|(known, ..)| *known == name);
    let (.., options) = found.ok_or_else(|| UnknownView {
        name: name.to_owned(),
        known: VIEWS.map(|(name, ..)| name).join(", "),
    })?;
    let all = ["logq"].into_iter().chain(options.iter().copied());
    let cli = Cli::parse_from(all.chain(more.iter().map(String::as_str)));
    Ok(cli.search)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cli::time::Clock, plan::Wanted};

    #[test]
    fn every_view_asks_for_something() {
        for (name, ..) in VIEWS {
            let search = expanded(&[name.to_owned(), "--since".to_owned(), "15m".to_owned()]).unwrap();
            let wanted = Wanted::of(&search.select, &search.window, &Clock::system(true)).unwrap();
            assert!(
                wanted.span.since.is_some() && search.select.namespace.is_empty(),
                "{name}"
            );
        }
        assert!(
            expanded(&["nothing".to_owned()])
                .unwrap_err()
                .to_string()
                .contains("failed-photos")
        );
    }
}

//! `logq view NAME`: a search with the options of a view.

use clap::Parser;

use super::{Cli, parse::parse_with_view};
use crate::{
    config::Config,
    search::SearchOptions,
    view::{View, built_in_views},
};

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

/// The built-in views, then those of the configuration file.
#[must_use]
pub fn views(config: &Config) -> Vec<View> {
    built_in_views().chain(config.views().iter().cloned()).collect()
}

/// The search for a view and additional options, which take precedence.
///
/// # Errors
/// [`ViewError`].
pub fn expand_view(arguments: &[String], config: &Config) -> Result<SearchOptions, ViewError> {
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

    #[test]
    fn every_view_has_options() {
        let config = Config::without_file(Box::new(|_| None));
        for View { name, .. } in built_in_views() {
            let typed = [name.clone(), "--since".to_owned(), "15m".to_owned()];
            let search = expand_view(&typed, &config).unwrap();
            let query = search.query().unwrap();
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

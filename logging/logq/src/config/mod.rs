//! Settings from a file and from environment variables.
//!
//! Precedence: option, variable, file, default. The command line defines which options are configurable: an option with
//! the variable `LOGQ_X` has the key `x` in the file.
//!
//! Architecture invariant: logq never prints a value that can be a secret.

mod connection;
mod file;
mod options;
mod show;

use std::{
    ffi::{OsStr, OsString},
    fmt,
    path::{Path, PathBuf},
};

use self::{file::ConfigFile, options::ConfigurableOptions};
pub use self::{file::ConfigValue, show::show};
use crate::{
    opensearch::Lookup,
    view::{FileLocation, View},
};

/// Path of the file, unless `--config` is given.
pub const VARIABLE: &str = "LOGQ_CONFIG";

/// All errors, one per line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigError(pub Vec<String>);

/// Where the value of a setting comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SettingSource {
    BuiltIn,
    File(FileLocation),
    Variable(String),
}

impl fmt::Display for SettingSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => formatter.write_str("default"),
            Self::File(location) => location.fmt(formatter),
            Self::Variable(name) => formatter.write_str(name),
        }
    }
}

/// All settings.
pub struct Config {
    environment: Box<Lookup<'static>>,
    file: Option<ConfigFile>,
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Do not print values: they may be secret.
        write!(formatter, "configuration of {:?}", self.path())
    }
}

impl Config {
    /// Settings from the environment only.
    #[must_use]
    pub fn without_file(environment: Box<Lookup<'static>>) -> Self {
        Self {
            environment,
            file: None,
        }
    }

    /// Reads the file of `--config`, of [`VARIABLE`], or at the default path if it exists. Validates the values of the
    /// file and the environment.
    ///
    /// # Errors
    /// [`ConfigError`] with all errors.
    pub fn read(
        explicit_path: Option<&Path>,
        environment: Box<Lookup<'static>>,
        command: &clap::Command,
    ) -> Result<Self, ConfigError> {
        let path = match (explicit_path, environment(VARIABLE)) {
            (Some(path), _) => Some((path.to_owned(), true)),
            // An empty variable disables the file.
            (None, Some(path)) => (!path.is_empty()).then(|| (PathBuf::from(path), true)),
            (None, None) => default_path(&environment).map(|path| (path, false)),
        };
        let options = ConfigurableOptions::from_command(command);
        let mut errors = Vec::new();
        let file = path.and_then(|(path, required)| {
            ConfigFile::read(&path, required, &options).unwrap_or_else(|mut wrong| {
                errors.append(&mut wrong);
                None
            })
        });
        options.check_environment(&environment, &mut errors);
        if errors.is_empty() {
            Ok(Self { environment, file })
        } else {
            Err(ConfigError(errors))
        }
    }

    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| file.path.as_path())
    }

    /// Applies the file's values as defaults of the command line.
    #[must_use]
    pub fn apply_defaults(&self, command: clap::Command) -> clap::Command {
        match &self.file {
            Some(file) => options::with_defaults(command, file),
            None => command,
        }
    }

    /// The views of the file.
    #[must_use]
    pub fn views(&self) -> &[View] {
        self.file.as_ref().map_or(&[], |file| &file.views)
    }

    /// Invalid views: name and error. A view may have several errors.
    #[must_use]
    pub fn bad_views(&self) -> &[(String, String)] {
        self.file.as_ref().map_or(&[], |file| &file.bad_views)
    }

    /// An environment variable.
    #[must_use]
    pub fn environment(&self, name: &str) -> Option<String> {
        (self.environment)(name)
    }
}

/// `$XDG_CONFIG_HOME/logq/config.toml` (XDG Base Directory Specification).
fn default_path(environment: &Lookup<'_>) -> Option<PathBuf> {
    let set = |name| environment(name).filter(|value| !value.is_empty());
    let folder = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        // "All paths set in these environment variables must be absolute."
        .filter(|path| path.is_absolute())
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".config")))?;
    Some(folder.join("logq/config.toml"))
}

/// Removes `--config FILE` from the arguments: logq reads the file before clap parses them.
///
/// # Errors
/// [`ConfigError`] if the file name is missing.
pub fn take_config_option(arguments: Vec<OsString>) -> Result<(Option<PathBuf>, Vec<OsString>), ConfigError> {
    const OPTION: &str = "--config";
    let mut path = None;
    let mut rest = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        if argument == "--" {
            rest.push(argument);
            break;
        }
        let value = argument
            .to_str()
            .and_then(|text| text.strip_prefix(OPTION)?.strip_prefix('='))
            .map(OsString::from);
        if argument != OsStr::new(OPTION) && value.is_none() {
            rest.push(argument);
            continue;
        }
        let value = value.or_else(|| arguments.next());
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Err(ConfigError(vec![
                "--config needs a file: --config FILE".to_owned(),
            ]));
        };
        path = Some(PathBuf::from(value));
    }
    rest.extend(arguments);
    Ok((path, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_option_is_found_before_double_dash() {
        let words = |text: &str| text.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        for (typed, path, rest) in [
            ("logq -c a", None, "logq -c a"),
            ("logq --config f -c a", Some("f"), "logq -c a"),
            ("logq view mine --config=f -c a", Some("f"), "logq view mine -c a"),
            ("logq --config f -- --config g", Some("f"), "logq -- --config g"),
        ] {
            let found = take_config_option(words(typed)).unwrap();
            assert_eq!(found, (path.map(PathBuf::from), words(rest)), "{typed}");
        }
        for typed in ["logq --config", "logq --config="] {
            assert!(take_config_option(words(typed)).is_err(), "{typed}");
        }
    }

    #[test]
    fn default_location_follows_the_xdg_specification() {
        let at = |home: Option<&str>, xdg: Option<&str>| {
            let (home, xdg) = (home.map(str::to_owned), xdg.map(str::to_owned));
            default_path(&move |name| match name {
                "HOME" => home.clone(),
                _ => xdg.clone(),
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(at(Some("/h"), None), path("/h/.config/logq/config.toml"));
        assert_eq!(at(Some("/h"), Some("/x")), path("/x/logq/config.toml"));
        assert_eq!(at(Some("/h"), Some("x")), path("/h/.config/logq/config.toml"));
        assert_eq!(at(None, Some("")), None);
    }
}

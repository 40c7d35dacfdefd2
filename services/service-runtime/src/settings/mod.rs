//! Settings from environment variables. All errors are reported at once, no value is shown, and the
//! documentation is generated from the reads.

pub mod documentation;
mod reader;
pub mod units;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
};

pub use documentation::{Variable, markdown_table};
pub use reader::SettingsReader;

/// A source of environment variables. Everything takes it as an argument, so that tests can read settings
/// without changing the process.
pub trait Environment {
    fn get(&self, name: &str) -> Option<String>;
}

#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

impl Environment for BTreeMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).cloned()
    }
}

impl Environment for HashMap<String, String> {
    fn get(&self, name: &str) -> Option<String> {
        HashMap::get(self, name).cloned()
    }
}

impl<E: Environment + ?Sized> Environment for &E {
    fn get(&self, name: &str) -> Option<String> {
        (**self).get(name)
    }
}

/// An error in one variable. It never holds a value, which may be a secret under the wrong name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SettingsError {
    pub variable: String,
    /// What is wrong, and what to do.
    pub text: String,
}

/// All errors of one configuration, by variable name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsErrors(Vec<SettingsError>);

impl SettingsErrors {
    /// Sorts the errors by variable name and removes duplicates.
    fn new(errors: Vec<SettingsError>) -> Self {
        Self(errors.into_iter().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// The errors, by variable name.
    #[must_use]
    pub fn all(&self) -> &[SettingsError] {
        &self.0
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, error) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", error.variable, error.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsErrors {}

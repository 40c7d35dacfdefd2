//! All mistakes of a configuration, reported at once.

use std::{collections::BTreeSet, fmt};

/// A mistake in one variable. It never holds a value, which may be a secret under the wrong name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    pub variable: String,
    /// What is wrong, and what to do.
    pub text: String,
}

/// All mistakes of one configuration, by variable name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Sorts the mistakes by variable name and removes duplicates.
    pub(super) fn new(mistakes: Vec<Mistake>) -> Self {
        Self(
            mistakes
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect(),
        )
    }

    /// The mistakes, by variable name.
    #[must_use]
    pub fn all(&self) -> &[Mistake] {
        &self.0
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, mistake) in self.0.iter().enumerate() {
            if number > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", mistake.variable, mistake.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Mistakes {}

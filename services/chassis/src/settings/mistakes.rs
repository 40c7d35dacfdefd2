//! Everything that is wrong with a configuration, told at once.

use std::{collections::BTreeSet, fmt};

/// Something wrong with one variable. It never carries a value: a value may
/// be a secret that ended up under the wrong name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The variable's name.
    pub variable: String,
    /// What is wrong, and what to do about it.
    pub text: String,
}

/// All mistakes of one configuration, by variable name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// All of them, by variable name, each once.
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

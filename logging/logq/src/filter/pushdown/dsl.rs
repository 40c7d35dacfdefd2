//! Query DSL, and what is known of a filter in it.

use serde_json::{Value, json};

/// A question to OpenSearch.
#[derive(Clone, Debug, PartialEq)]
pub enum DslQuery {
    /// It finds every line.
    Everything,
    /// It finds none.
    Nothing,
    /// It finds what this query DSL finds.
    Dsl(Value),
}

impl DslQuery {
    /// What each of these finds.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut queries = Vec::new();
        for part in parts {
            match part {
                Self::Everything => {}
                Self::Nothing => return Self::Nothing,
                Self::Dsl(query) => queries.push(query),
            }
        }
        match <[Value; 1]>::try_from(queries) {
            Ok([only]) => Self::Dsl(only),
            Err(none) if none.is_empty() => Self::Everything,
            Err(queries) => Self::Dsl(json!({ "bool": { "filter": queries } })),
        }
    }

    /// What one of these finds.
    #[must_use]
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut queries = Vec::new();
        for part in parts {
            match part {
                Self::Everything => return Self::Everything,
                Self::Nothing => {}
                Self::Dsl(query) => queries.push(query),
            }
        }
        match <[Value; 1]>::try_from(queries) {
            Ok([only]) => Self::Dsl(only),
            Err(none) if none.is_empty() => Self::Nothing,
            Err(queries) => Self::Dsl(json!({ "bool": { "should": queries, "minimum_should_match": 1 } })),
        }
    }

    /// What this does not find.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Everything => Self::Nothing,
            Self::Nothing => Self::Everything,
            Self::Dsl(query) => Self::Dsl(json!({ "bool": { "must_not": [query] } })),
        }
    }

    /// The same as query DSL.
    #[must_use]
    pub fn into_dsl(self) -> Value {
        match self {
            Self::Everything => json!({ "match_all": {} }),
            Self::Nothing => json!({ "match_none": {} }),
            Self::Dsl(query) => query,
        }
    }
}

/// What OpenSearch can say of the lines that a filter wants.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Finds every line that is wanted, and perhaps others.
    pub upper: DslQuery,
    /// Finds only lines that are wanted, and perhaps not all.
    pub lower: DslQuery,
}

impl Bounds {
    /// Nothing can be said.
    pub const UNKNOWN: Self = Self {
        upper: DslQuery::Everything,
        lower: DslQuery::Nothing,
    };

    /// It finds the very lines that are wanted.
    #[must_use]
    pub fn exactly(query: DslQuery) -> Self {
        Self {
            upper: query.clone(),
            lower: query,
        }
    }

    /// It finds every line that is wanted.
    #[must_use]
    pub const fn at_most(upper: DslQuery) -> Self {
        Self {
            upper,
            lower: DslQuery::Nothing,
        }
    }

    /// Whether it finds the very lines that are wanted.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.upper == self.lower
    }

    /// Finds the lines of which it is not known whether they are wanted.
    #[must_use]
    pub fn uncertain(&self) -> DslQuery {
        if self.is_exact() {
            return DslQuery::Nothing;
        }
        DslQuery::all([self.upper.clone(), self.lower.clone().negated()])
    }

    /// Of lines that each of these wants.
    #[must_use]
    pub fn all(parts: &[Self]) -> Self {
        Self {
            upper: DslQuery::all(parts.iter().map(|part| part.upper.clone())),
            lower: DslQuery::all(parts.iter().map(|part| part.lower.clone())),
        }
    }

    /// Of lines that one of these wants.
    #[must_use]
    pub fn any(parts: &[Self]) -> Self {
        Self {
            upper: DslQuery::any(parts.iter().map(|part| part.upper.clone())),
            lower: DslQuery::any(parts.iter().map(|part| part.lower.clone())),
        }
    }

    /// Of lines that this does not want.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            upper: self.lower.negated(),
            lower: self.upper.negated(),
        }
    }
}

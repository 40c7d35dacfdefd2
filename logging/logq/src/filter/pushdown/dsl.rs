//! Query DSL, and bounds of a filter in it.

use serde_json::{Value, json};

/// A query for OpenSearch.
#[derive(Clone, Debug, PartialEq)]
pub enum DslQuery {
    /// Matches every line.
    Everything,
    /// Matches no line.
    Nothing,
    Dsl(Value),
}

impl DslQuery {
    /// The intersection.
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

    /// The union.
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

    /// The complement.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Everything => Self::Nothing,
            Self::Nothing => Self::Everything,
            Self::Dsl(query) => Self::Dsl(json!({ "bool": { "must_not": [query] } })),
        }
    }

    #[must_use]
    pub fn into_dsl(self) -> Value {
        match self {
            Self::Everything => json!({ "match_all": {} }),
            Self::Nothing => json!({ "match_none": {} }),
            Self::Dsl(query) => query,
        }
    }
}

/// Two queries that enclose the lines of a filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Matches all matching lines, and possibly others.
    pub upper: DslQuery,
    /// Matches only matching lines, but possibly not all.
    pub lower: DslQuery,
}

impl Bounds {
    /// No information.
    pub const UNKNOWN: Self = Self {
        upper: DslQuery::Everything,
        lower: DslQuery::Nothing,
    };

    /// The query is exact.
    #[must_use]
    pub fn exactly(query: DslQuery) -> Self {
        Self {
            upper: query.clone(),
            lower: query,
        }
    }

    /// The query matches all matching lines, and possibly others.
    #[must_use]
    pub const fn at_most(upper: DslQuery) -> Self {
        Self {
            upper,
            lower: DslQuery::Nothing,
        }
    }

    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.upper == self.lower
    }

    /// Matches the lines between the two bounds.
    #[must_use]
    pub fn uncertain(&self) -> DslQuery {
        if self.is_exact() {
            return DslQuery::Nothing;
        }
        DslQuery::all([self.upper.clone(), self.lower.clone().negated()])
    }

    #[must_use]
    pub fn all(parts: &[Self]) -> Self {
        Self {
            upper: DslQuery::all(parts.iter().map(|part| part.upper.clone())),
            lower: DslQuery::all(parts.iter().map(|part| part.lower.clone())),
        }
    }

    #[must_use]
    pub fn any(parts: &[Self]) -> Self {
        Self {
            upper: DslQuery::any(parts.iter().map(|part| part.upper.clone())),
            lower: DslQuery::any(parts.iter().map(|part| part.lower.clone())),
        }
    }

    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            upper: self.lower.negated(),
            lower: self.upper.negated(),
        }
    }
}

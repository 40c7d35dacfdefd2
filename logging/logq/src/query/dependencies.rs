//! `--with-…`: the dependencies of components.

use schema::label;

/// A kind of dependency. A label on the pods names the component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    Database,
    Queue,
    ObjectStore,
}

impl Dependency {
    pub const ALL: [Self; 3] = [Self::Database, Self::Queue, Self::ObjectStore];

    /// The label that names the component.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Database => label::USES_DATABASE,
            Self::Queue => label::USES_QUEUE,
            Self::ObjectStore => label::USES_STORE,
        }
    }
}

/// The dependencies to include.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    requested: Vec<Dependency>,
    option: Option<&'static str>,
}

impl Dependencies {
    /// `option`: the first flag that requests them.
    #[must_use]
    pub const fn new(requested: Vec<Dependency>, option: Option<&'static str>) -> Self {
        Self { requested, option }
    }

    #[must_use]
    pub fn requested(&self) -> &[Dependency] {
        &self.requested
    }

    /// The first flag that requests dependencies.
    #[must_use]
    pub const fn option(&self) -> Option<&'static str> {
        self.option
    }
}

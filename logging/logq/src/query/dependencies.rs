//! `--with-…`: the lines of what a component uses.

use schema::label;

use crate::cli::SelectOptions;

/// What a component can use. The label on its pods says which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dependency {
    /// Its database.
    Database,
    /// Its broker.
    Queue,
    /// Its object store.
    ObjectStore,
}

impl Dependency {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Database, Self::Queue, Self::ObjectStore];

    /// The label that names the component that is used.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Database => label::USES_DATABASE,
            Self::Queue => label::USES_QUEUE,
            Self::ObjectStore => label::USES_STORE,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "broker",
            Self::ObjectStore => "object store",
        }
    }
}

/// What is asked for beside the components that were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    requested: Vec<Dependency>,
    option: Option<&'static str>,
}

impl Dependencies {
    /// Reads the flags.
    #[must_use]
    pub fn from_options(select: &SelectOptions) -> Self {
        let flags = [
            (select.with_db, "with-db", Dependency::Database),
            (select.with_queue, "with-queue", Dependency::Queue),
            (select.with_store, "with-store", Dependency::ObjectStore),
        ];
        let given = flags.into_iter().filter(|(given, ..)| *given);
        if select.with_all {
            return Self {
                requested: Dependency::ALL.into(),
                option: Some("with-all"),
            };
        }
        Self {
            option: given.clone().map(|(_, option, _)| option).next(),
            requested: given.map(|(.., dependency)| dependency).collect(),
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn requested(&self) -> &[Dependency] {
        &self.requested
    }

    /// The first flag that asks for it.
    #[must_use]
    pub const fn option(&self) -> Option<&'static str> {
        self.option
    }
}

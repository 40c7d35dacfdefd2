//! `--with-…`: the lines of what a component uses.

use schema::label;

use crate::cli::Select;

/// What a component can use. The label on its pods says which one it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Its database.
    Database,
    /// Its broker.
    Queue,
    /// Its object store.
    Store,
}

impl Use {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Database, Self::Queue, Self::Store];

    /// The label that names the component that is used.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Database => label::USES_DATABASE,
            Self::Queue => label::USES_QUEUE,
            Self::Store => label::USES_STORE,
        }
    }

    /// What it is called.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Queue => "broker",
            Self::Store => "object store",
        }
    }
}

/// What is asked for beside the components that were named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    wanted: Vec<Use>,
    option: Option<&'static str>,
}

impl Uses {
    /// Reads the flags.
    #[must_use]
    pub fn of(select: &Select) -> Self {
        let flags = [
            (select.with_db, "with-db", Use::Database),
            (select.with_queue, "with-queue", Use::Queue),
            (select.with_store, "with-store", Use::Store),
        ];
        let given = flags.into_iter().filter(|(given, ..)| *given);
        if select.with_all {
            return Self {
                wanted: Use::ALL.into(),
                option: Some("with-all"),
            };
        }
        Self {
            option: given.clone().map(|(_, option, _)| option).next(),
            wanted: given.map(|(.., use_)| use_).collect(),
        }
    }

    /// What is asked for.
    #[must_use]
    pub fn wanted(&self) -> &[Use] {
        &self.wanted
    }

    /// The first flag that asks for it.
    #[must_use]
    pub const fn option(&self) -> Option<&'static str> {
        self.option
    }
}

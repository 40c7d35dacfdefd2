//! Whether this process wants work: by its own state only.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

/// How a server that the process depends on looks from here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// Whether it can be used now.
    pub available: bool,
    /// For a person: what was last seen of it. No secrets.
    pub detail: String,
}

type Look = Box<dyn Fn() -> Dependency + Send + Sync>;

/// The state behind `/readyz`; clones share it.
///
/// Ready means: every condition holds and the process is not draining.
/// Dependencies are told in the body and change nothing: taking every pod
/// out of service because one database is away would only turn a partial
/// outage into a whole one.
#[derive(Clone)]
pub struct Readiness {
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    conditions: BTreeMap<&'static str, bool>,
    draining: bool,
    dependencies: BTreeMap<&'static str, Look>,
}

impl Readiness {
    /// Not ready until each of these conditions was [`Readiness::set`].
    #[must_use]
    pub fn new(conditions: &[&'static str]) -> Self {
        Self {
            state: Arc::new(Mutex::new(Inner {
                conditions: conditions.iter().map(|name| (*name, false)).collect(),
                draining: false,
                dependencies: BTreeMap::new(),
            })),
        }
    }

    /// Says whether a condition holds.
    pub fn set(&self, condition: &'static str, holds: bool) {
        self.lock().conditions.insert(condition, holds);
    }

    /// No more work is wanted; there is no way back.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Tells about a dependency in the body. `look` is called at each probe,
    /// so it must be quick and must not wait.
    pub fn report(&self, name: &'static str, look: impl Fn() -> Dependency + Send + Sync + 'static) {
        self.lock().dependencies.insert(name, Box::new(look));
    }

    /// Whether the process wants work.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let state = self.lock();
        !state.draining && state.conditions.values().all(|holds| *holds)
    }

    /// The probe's body.
    #[must_use]
    pub fn describe(&self) -> Value {
        let ready = self.is_ready();
        let state = self.lock();
        let dependencies: BTreeMap<_, _> = state
            .dependencies
            .iter()
            .map(|(name, look)| {
                let seen = look();
                (*name, json!({"available": seen.available, "detail": seen.detail}))
            })
            .collect();
        json!({
            "status": if ready { "ready" } else { "not ready" },
            "draining": state.draining,
            "conditions": state.conditions,
            "dependencies": dependencies,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Readiness")
            .field("conditions", &state.conditions)
            .field("draining", &state.draining)
            .finish_non_exhaustive()
    }
}

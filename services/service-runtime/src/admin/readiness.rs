//! Readiness of this process, decided by its own state only.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

/// State of a server that the process depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DependencyState {
    /// Whether it can be used now.
    pub available: bool,
    /// Result of the last check, for people. Must hold no secrets.
    pub detail: String,
}

type DependencyCheck = Box<dyn Fn() -> DependencyState + Send + Sync>;

/// The state behind `/readyz`. Clones share it.
///
/// The process is ready if every condition holds and it is not draining. An unavailable dependency shows in
/// the body but does not fail the probe: otherwise one database outage would take every pod out of service.
#[derive(Clone)]
pub struct Readiness {
    state: Arc<Mutex<ReadinessState>>,
}

struct ReadinessState {
    conditions: BTreeMap<&'static str, bool>,
    draining: bool,
    dependencies: BTreeMap<&'static str, DependencyCheck>,
}

impl Readiness {
    /// Not ready until each of these conditions is [`Readiness::set`].
    #[must_use]
    pub fn new(conditions: &[&'static str]) -> Self {
        Self {
            state: Arc::new(Mutex::new(ReadinessState {
                conditions: conditions.iter().map(|name| (*name, false)).collect(),
                draining: false,
                dependencies: BTreeMap::new(),
            })),
        }
    }

    /// Sets whether a condition holds.
    pub fn set(&self, condition: &'static str, holds: bool) {
        self.lock().conditions.insert(condition, holds);
    }

    /// Marks the process as draining, for good.
    pub fn drain(&self) {
        self.lock().draining = true;
    }

    /// Adds a dependency to the body. Each probe calls `check`, so it must be quick and must not block.
    pub fn report(&self, name: &'static str, check: impl Fn() -> DependencyState + Send + Sync + 'static) {
        self.lock().dependencies.insert(name, Box::new(check));
    }

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
            .map(|(name, check)| {
                let dependency = check();
                (
                    *name,
                    json!({"available": dependency.available, "detail": dependency.detail}),
                )
            })
            .collect();
        json!({
            "status": if ready { "ready" } else { "not ready" },
            "draining": state.draining,
            "conditions": state.conditions,
            "dependencies": dependencies,
        })
    }

    fn lock(&self) -> MutexGuard<'_, ReadinessState> {
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

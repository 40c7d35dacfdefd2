//! Tests with a real OpenSearch. `local exec --with opensearch -- cargo test -p logq` starts one.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../support/ages.rs"]
mod ages;
mod bootstrap;
mod default_range;
mod doctor;
mod documents;
mod fallback;
mod follow;
mod forward;
mod gate;
mod import;
#[path = "../support/kubectl.rs"]
mod kubectl;
mod pushdown;
mod retain;
#[path = "../support/running.rs"]
mod running;
mod search;
mod store;
mod summaries;
#[path = "../support/world.rs"]
mod world;

//! Tests with a real OpenSearch. `local exec --with opensearch -- cargo test -p logq` starts one.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test fails with a panic")]

#[path = "../support/api_server/mod.rs"]
mod api_server;
mod bootstrap;
mod default_range;
mod doctor;
mod documents;
mod fallback;
mod follow;
mod forward;
mod import;
mod log_store;
mod pages;
mod pushdown;
mod retain;
#[path = "../support/running.rs"]
mod running;
mod search;
mod summaries;
#[path = "../support/world.rs"]
mod world;

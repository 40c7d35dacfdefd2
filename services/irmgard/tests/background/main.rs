//! irmgard's background work and commands, against real servers: `cargo run -p local -- exec -- cargo test -p irmgard`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in what it calls as well"
)]

mod commit_guard;
mod database;
mod failed;
mod fixture;
mod reconcile;
mod relay;
mod requeue;
mod results;
mod schema;
mod serve;
mod settings;
mod sweep;
mod sweep_restored;
mod sweep_scheduled;
mod tls;
mod verdicts;

//! What irmgard does beside answering requests, against real servers:
//! `cargo run -p local -- exec -- cargo test -p irmgard`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in what it calls as well"
)]

mod commits;
mod database;
mod failed;
mod place;
mod reconcile;
mod relay;
mod results;
mod serve;
mod settings;
mod sweep;
mod sweep_restored;
mod sweep_scheduled;
mod tls;
mod verdicts;

//! What irmgard does beside answering requests, against real servers:
//! `cargo run -p local -- exec -- cargo test -p irmgard`.

mod database;
mod failed;
mod place;
mod reconcile;
mod relay;
mod results;
mod serve;
mod settings;
mod sweep;

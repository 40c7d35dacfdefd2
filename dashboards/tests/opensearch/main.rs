//! Sends the queries of saved objects and rules to a real OpenSearch:
//! `target/release/local exec --with opensearch -- cargo test -p dashboards`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is how it fails"
)]

mod alerts;
mod lines;
mod log_store;
mod objects;
mod request;
mod runbooks;

//! What the saved objects and the rules ask for, asked of a real OpenSearch.
//! `local exec --with opensearch -- cargo test -p dashboards` brings one.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "in a test, a panic is how it fails"
)]

mod alerts;
mod lines;
mod objects;
mod request;
mod runbooks;
mod store;

//! logq as a library, for its tests and benchmarks.
//!
//! A search runs through `command`: `cli` (arguments) → `query` (what to search) → `source` (OpenSearch, pods, files) →
//! `filter` (the conditions that the source did not apply) → `search` (selection and summary) → `render` or `summary` →
//! `pager`.
//!
//! `follow` replaces `search` for new lines. `config` holds the settings. `opensearch` is the client, `forward` its
//! port-forward into a cluster. `admin`, `doctor` and `import` are separate commands.

#![allow(missing_docs, reason = "a private crate; most names need no comment")]

pub mod admin;
pub mod cli;
pub mod command;
pub mod config;
pub mod doctor;
pub mod filter;
pub mod follow;
pub mod forward;
pub mod import;
pub mod opensearch;
pub mod pager;
pub mod query;
pub mod render;
pub mod search;
pub mod source;
pub mod summary;

//! What `logq` is made of, for its tests and benchmarks.
//!
//! The way of a call: `cli` (as typed) → `plan` (what is wanted, as data) →
//! `source` (OpenSearch, pods, files) → `filter` (what the source could not
//! leave out) → `search` (which of it) → `render` or `summary` → `pager`;
//! `command` walks it. `follow` takes the place of `search` for lines that are still to come;
//! `config` is what a person has settled once; `forward` is the way to an OpenSearch in a cluster; `admin` and `doctor` stand
//! beside it all.

#![allow(missing_docs, reason = "a private crate; the name often says it all")]

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

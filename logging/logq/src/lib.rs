//! logq as a library, for its tests and benchmarks.
//!
//! Architecture invariant: dependencies point in one direction. Each module uses only modules further down:
//!
//! | module | contents |
//! |---|---|
//! | `command` | runs a command line; all errors |
//! | `cli` | the arguments |
//! | `doctor`, `admin`, `import`, `follow`, `search` | the commands, with their options |
//! | `config`, `pager` | settings; the pager |
//! | `source` | where lines come from: OpenSearch, pods, files |
//! | `summary`, `render`, `query` | counts; output formats; what to search |
//! | `opensearch` | the client of OpenSearch |
//! | `kubernetes` | the client of Kubernetes: pods, their logs, port-forwards |
//! | `filter`, `view`, `entry`, `time`, `suggestion` | conditions; named options; a line; times; similar names |

pub mod admin;
pub mod cli;
pub mod command;
pub mod config;
pub mod doctor;
pub mod entry;
pub mod filter;
pub mod follow;
pub mod import;
pub mod kubernetes;
pub mod opensearch;
pub mod pager;
pub mod query;
pub mod render;
pub mod search;
pub mod source;
mod suggestion;
pub mod summary;
pub mod time;
pub mod view;

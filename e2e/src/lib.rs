//! Tests of the whole pipeline, from the upload to the anonymised photo.
//!
//! - [`pipeline`] runs our programs as processes on real servers, behind fault proxies.
//! - [`cases`] are demonstrations in a Kubernetes cluster. Each writes a report.

pub mod cases;
pub mod cluster;
pub mod console;
pub mod load;
pub mod photos;
pub mod picture;
pub mod pipeline;
pub mod process_usage;
pub mod report;
pub mod settings;

//! The whole pipeline, from the POST to the anonymised photo: tests with real
//! servers and our real programs as processes, and demonstrations in a cluster.

pub mod cases;
pub mod cluster;
pub mod load;
pub mod photos;
pub mod picture;
pub mod pipeline;
pub mod release;
pub mod report;
pub mod say;
pub mod settings;
pub mod usage;

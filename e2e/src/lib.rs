//! Tests of the whole pipeline, from the POST to the anonymised photo, with
//! real servers and our real programs as processes.

pub mod photos;
pub mod picture;
pub mod pipeline;
pub mod proxy;

//! The worker process against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod child_process;
mod crashes;
mod detector;
mod harness;
mod invalid_input;
mod journey;
mod large_photos;
mod legacy_service;
mod lifecycle;
mod outages;
mod unreadable_objects;

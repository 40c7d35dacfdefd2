//! The worker process against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod child;
mod cost;
mod detector;
mod faults;
mod given;
mod harness;
mod journey;
mod lifecycle;
mod outage;
mod suspect;
mod unreadable;
mod verdict;

//! The worker process against real servers.

mod given;
mod harness;
mod journey;
mod lifecycle;
mod outage;
mod suspect;
mod verdict;

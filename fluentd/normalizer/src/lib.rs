//! Fluentd's normaliser: the crate `log-normalizer` as a C library, see [`abi`].
//!
//! Fluentd's plugin passes the lines of pods' log files in batches. The library parses, joins and normalises them, and
//! returns Fluentd events by stream: each document's JSON and its id.
//!
//! Lines that wait for the rest of a long line or of a stack trace are pending. They are stored on disk before Fluentd
//! counts them as read, so `kill -9` loses none.

mod abi;
mod container;
mod events;
mod joined_stream;
mod normalizer;
#[cfg(test)]
mod tests;

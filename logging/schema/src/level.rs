//! Values of [`crate::field::LEVEL`].

/// A fault that someone must repair.
pub const ERROR: &str = "error";
/// A problem that the program handled.
pub const WARN: &str = "warn";
/// One line for each request and each job.
pub const INFO: &str = "info";
/// Details for developers.
pub const DEBUG: &str = "debug";
/// Everything.
pub const TRACE: &str = "trace";

/// Every level, the most severe first.
pub const ALL: [&str; 5] = [ERROR, WARN, INFO, DEBUG, TRACE];

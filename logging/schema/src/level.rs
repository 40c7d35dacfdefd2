//! How grave a line is: the values of [`crate::field::LEVEL`].

/// Something is broken and a person must look.
pub const ERROR: &str = "error";
/// Something is wrong and was handled.
pub const WARN: &str = "warn";
/// What happened: one line for each request and each job.
pub const INFO: &str = "info";
/// What a developer asks for.
pub const DEBUG: &str = "debug";
/// Everything.
pub const TRACE: &str = "trace";

/// Every level, the gravest first.
pub const ALL: [&str; 5] = [ERROR, WARN, INFO, DEBUG, TRACE];

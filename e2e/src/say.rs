//! What the demonstrations print while they run.

use std::{
    fmt::Display,
    io::{self, Write},
};

use chrono::Utc;

/// Prints a line with the time of day, UTC.
pub fn say(text: impl Display) {
    line(format_args!("{} {text}", Utc::now().format("%H:%M:%S%.3f")));
}

/// Prints a line as it is.
pub fn line(text: impl Display) {
    // That nobody reads it any more is no reason to stop.
    let _ = writeln!(io::stdout(), "{text}");
}

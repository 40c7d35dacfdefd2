//! Output of the demonstrations while they run.

use std::{
    fmt::Display,
    io::{self, Write},
};

use chrono::Utc;

/// Prints a line with the time (UTC).
pub fn print_progress(text: impl Display) {
    print_line(format_args!("{} {text}", Utc::now().format("%H:%M:%S%.3f")));
}

/// Prints a line. A closed standard output is ignored.
pub fn print_line(text: impl Display) {
    let _ = writeln!(io::stdout(), "{text}");
}

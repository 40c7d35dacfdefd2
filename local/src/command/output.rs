//! What `local` prints, and the programs of this project that it runs to the end.

use std::io::{self, Write};

use anyhow::Context;
use local::Environment;

/// Prints an error to standard error.
pub fn print_error(message: &dyn std::fmt::Display) {
    // A closed standard error is ignored.
    let _ = writeln!(io::stderr(), "local: {message:#}");
}

/// Prints a line to standard output. A closed standard output is ignored.
pub fn print_line(line: &dyn std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Runs a program of this project. Its output is part of the error.
pub async fn run_program(name: &str, arguments: &[&str], environment: Environment) -> anyhow::Result<()> {
    let program = local::program(name)?;
    let output = tokio::process::Command::new(&program)
        .args(arguments)
        .envs(environment)
        .output()
        .await
        .with_context(|| format!("cannot run {}", program.display()))?;
    anyhow::ensure!(
        output.status.success(),
        "{name} {} failed ({}):\n{}{}",
        arguments.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    Ok(())
}

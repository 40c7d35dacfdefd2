//! Tests of the program with files, folders and standard input.

#![expect(clippy::unwrap_used, reason = "a test fails with a panic")]

mod diagnostics;
mod output;
#[path = "../support/pipe.rs"]
mod pipe;
mod queries;
#[path = "../support/world.rs"]
mod world;

use std::{
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

fn logq(arguments: &[&str], folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .args(arguments)
        .arg(folder)
        .env("TZ", "UTC")
        .env("LOGQ_CONFIG", "")
        .env_remove("COLUMNS")
        .env_remove("NO_COLOR");
    command
}

fn piped(arguments: &[&str], input: &[u8]) -> Output {
    let mut child = logq(arguments, Path::new("-"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // logq may have exited because of an invalid argument.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

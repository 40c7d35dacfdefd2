//! A reader that closes its pipe early.

use std::process::{Command, Stdio};

/// Checks that the program exits quietly and successfully after its output is closed.
pub fn ends_quietly_when_closed(command: &mut Command) {
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

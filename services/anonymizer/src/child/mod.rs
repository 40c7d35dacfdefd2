//! Processes a suspect photo in a child process.
//!
//! A photo that was delivered before may have crashed the worker: by a bug in native code, or because it needs too much
//! memory. The child process has a memory limit. So a crash ends only the child, and the worker knows that the photo
//! caused it. A child that is killed from outside says nothing about its photo.

mod photo_process;
mod program;
pub mod protocol;

pub use photo_process::run as run_photo_process;
pub use program::{ChildExit, ChildProgram};

/// The hidden command that starts the child's side.
pub const COMMAND: &str = "photo-process";

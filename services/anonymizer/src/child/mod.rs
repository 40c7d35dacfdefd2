//! Work on a suspect photo in a process of its own.
//!
//! A photo whose delivery is not the first may have ended the process that
//! worked on it: a bug in native code, or more memory than there is. It is
//! worked on in a child process with a limit on its memory, so that whatever
//! it does ends the child only, and can be seen to be the photo's doing. A child
//! that is killed from outside says nothing about its photo.

mod photo_process;
mod program;
pub mod protocol;

pub use photo_process::run as photo_process;
pub use program::{ChildProgram, Ended};

/// The hidden command that makes the program a child.
pub const COMMAND: &str = "photo-process";

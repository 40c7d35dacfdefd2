//! Whether anybody reads what is written.

use std::{io, os::fd::AsFd};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Whether standard output is a pipe whose reader has gone. Who waits for
/// lines would otherwise learn of it with the next one only.
#[must_use]
pub fn is_gone() -> bool {
    let out = io::stdout();
    let mut output = [PollFd::new(out.as_fd(), PollFlags::empty())];
    poll(&mut output, PollTimeout::ZERO).is_ok()
        && output
            .iter()
            .filter_map(PollFd::revents)
            .any(|seen| seen.contains(PollFlags::POLLERR))
}

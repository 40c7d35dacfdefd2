//! Free TCP ports on the loopback address.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use crate::error::{Context, Result};
use crate::secret;

/// Below the range from which the kernel takes the ports of outgoing connections (32768 and up by default): a server that is down
/// for a while finds its port free when it comes back, and nobody connects to himself there.
const RANGE: Range<u16> = 18_000..32_000;

/// A port that nobody listens on now.
///
/// # Errors
/// When none is found.
pub(crate) fn free() -> Result<u16> {
    let mut last = Err(std::io::Error::other("no port tried"));
    for _ in 0..200 {
        let random = u16::from_be_bytes(secret::bytes::<2>()?);
        let port = RANGE.start + random % (RANGE.end - RANGE.start);
        last = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map(|_| port);
        if last.is_ok() {
            break;
        }
    }
    last.context(|| "no free port".into())
}

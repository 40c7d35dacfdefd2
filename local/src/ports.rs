//! Free TCP ports on the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::{Context, Result};
use crate::secret;

/// Below the range from which the kernel takes the ports of outgoing connections (32768 and up by default): a server that is down
/// for a while finds its port free when it comes back, and nobody connects to himself there.
const RANGE: Range<u16> = 18_000..32_000;

/// What this process has given out: a port is not listened on until its server has come that far.
static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port that nobody listens on now and that was not given out before.
///
/// # Errors
/// When none is found.
pub(crate) fn free() -> Result<u16> {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = Err(std::io::Error::other("no port tried"));
    for _ in 0..200 {
        let random = u16::from_be_bytes(secret::bytes::<2>()?);
        let port = RANGE.start + random % (RANGE.end - RANGE.start);
        last = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) if given.insert(port) => return Ok(port),
            Ok(_) => Err(std::io::Error::other("all given out")),
            Err(error) => Err(error),
        };
    }
    last.context(|| "no free port".into())
}

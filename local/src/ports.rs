//! Free TCP ports on the loopback address.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::error::{Context, Result};
use crate::secret;

/// Below the kernel's range for outgoing connections (default: from 32768). So a restarted server finds its port still free, and
/// no client connects to itself.
const RANGE: Range<u16> = 18_000..32_000;

/// Ports that [`free`] has returned. Their servers may not listen yet.
static RESERVED: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A port without a listener that this function has not returned before.
///
/// # Errors
/// When none is found.
pub fn free() -> Result<u16> {
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    let mut last = Err(std::io::Error::other("no port tried"));
    for _ in 0..200 {
        let random = u16::from_be_bytes(secret::bytes::<2>()?);
        let port = RANGE.start + random % (RANGE.end - RANGE.start);
        last = match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            Ok(_) if reserved.insert(port) => return Ok(port),
            Ok(_) => Err(std::io::Error::other("all free ports are reserved")),
            Err(error) => Err(error),
        };
    }
    last.context(|| "no free port".into())
}

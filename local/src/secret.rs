//! Random names and passwords.

use std::fs::File;
use std::io::Read;

use crate::error::{Context, Result};

/// Bytes from the kernel's random generator.
pub(crate) fn bytes<const N: usize>() -> Result<[u8; N]> {
    let mut buffer = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut buffer))
        .context(|| "cannot read /dev/urandom".into())?;
    Ok(buffer)
}

/// A password: 128 random bits in lower-case hexadecimal, which needs no quoting.
pub(crate) fn password() -> Result<String> {
    Ok(hex::encode(bytes::<16>()?))
}

/// The random part of a name: 40 bits in hexadecimal.
pub(crate) fn suffix() -> Result<String> {
    Ok(hex::encode(bytes::<5>()?))
}

/// A random UUID (RFC 9562, version 4).
pub(crate) fn uuid() -> Result<String> {
    let mut random = bytes::<16>()?;
    random[6] = random[6] & 0x0f | 0x40;
    random[8] = random[8] & 0x3f | 0x80;
    let digits = hex::encode(random);
    let parts: Vec<&str> = [0..8, 8..12, 12..16, 16..20, 20..32]
        .into_iter()
        .filter_map(|part| digits.get(part))
        .collect();
    Ok(parts.join("-"))
}

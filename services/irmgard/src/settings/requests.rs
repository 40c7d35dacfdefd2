//! The variables of what cameras and people ask for.

use std::{path::Path, time::Duration};

use chassis::{
    http::{Limits, share},
    settings::Reader,
};

use super::at_least;
use crate::{
    api::{Tokens, TrustedProxies},
    breaker::BreakerSettings,
    upload::UploadSettings,
};

pub(super) fn tokens(reader: &mut Reader<'_>) -> Tokens {
    let file = reader.optional(
        "TOKENS_FILE",
        "file of the tokens, a line `name:sha256:scopes[:project]` each; without it no token is asked for",
    );
    let Some(file) = file else {
        return Tokens::open_to_all();
    };
    Tokens::from_file(Path::new(&file)).unwrap_or_else(|error| {
        reader.mistake("TOKENS_FILE", error.to_string());
        Tokens::open_to_all()
    })
}

/// Connections of clients at a time, where nothing else is set.
const CONNECTIONS: usize = 1024;

pub(super) fn http(reader: &mut Reader<'_>) -> Limits {
    let connections = at_least(
        reader,
        1,
        "MAX_CONNECTIONS",
        CONNECTIONS,
        "connections of clients at a time; one more ends the one that has been idle for longest, or waits while all \
         are busy",
    );
    let per_address = reader.parsed_optional(
        "MAX_CONNECTIONS_PER_ADDRESS",
        "how many of them one client address may have, the 64-bit prefix of an IPv6 one; one more ends the idlest of \
         that address, or is answered 503 while all are busy; three quarters if not set. All clients behind a proxy \
         share its address",
    );
    if per_address == Some(0) {
        reader.mistake("MAX_CONNECTIONS_PER_ADDRESS", "is too small: at least 1");
    }
    Limits {
        per_address: per_address.unwrap_or(share(connections)),
        ..Limits::with_connections(connections)
    }
}

pub(super) fn trusted_proxies(reader: &mut Reader<'_>) -> TrustedProxies {
    let proxies = reader.parsed_optional(
        "TRUSTED_PROXIES",
        "addresses and networks of proxies, with commas between, whose `X-Forwarded-For` names the client in log \
         lines, for example `10.0.0.0/8`; without it the client is whoever opens the connection",
    );
    proxies.unwrap_or_default()
}

pub(super) fn breaker(reader: &mut Reader<'_>) -> BreakerSettings {
    let default = BreakerSettings::default();
    BreakerSettings {
        failures: at_least(
            reader,
            1,
            "BREAKER_FAILURES",
            default.failures,
            "failures in a row after which PostgreSQL or the object store is no longer asked by every request",
        ),
        rest: reader.duration(
            "BREAKER_REST",
            default.rest,
            "how long it is asked by none then, before one request tries",
        ),
        ..default
    }
}

pub(super) fn upload(reader: &mut Reader<'_>, store_timeout: Duration) -> UploadSettings {
    let default = UploadSettings::default();
    let settings = UploadSettings {
        max_bytes: reader.bytes(
            "MAX_UPLOAD_BYTES",
            default.max_bytes,
            "the largest photo that is accepted",
        ),
        max_pixels: reader.parsed(
            "MAX_PIXELS",
            default.max_pixels,
            "the largest photo that is accepted, in pixels",
        ),
        part_bytes: size(
            reader,
            "UPLOAD_PART_BYTES",
            default.part_bytes,
            "bodies of unknown length go to the object store in parts of this size",
        ),
        memory_bytes: size(
            reader,
            "UPLOAD_MEMORY_BYTES",
            default.memory_bytes,
            "all parts of such bodies in memory at a time; beyond it uploads wait",
        ),
        memory_wait: reader.duration(
            "UPLOAD_MEMORY_WAIT",
            default.memory_wait,
            "how long they wait before the answer is 503",
        ),
        idle_timeout: reader.duration(
            "UPLOAD_IDLE_TIMEOUT",
            default.idle_timeout,
            "how long a camera may send nothing before the answer is 408",
        ),
        min_bytes_per_second: reader.bytes(
            "MIN_UPLOAD_BYTES_PER_SECOND",
            default.min_bytes_per_second,
            "the least that a camera sends while it is waited for, per second, over each `UPLOAD_IDLE_TIMEOUT` of \
             such waiting; below it the answer is 408; 0 asks for nothing",
        ),
        store_timeout,
    };
    if settings.part_bytes < crate::upload::SMALLEST_PART_BYTES {
        reader.mistake(
            "UPLOAD_PART_BYTES",
            "is too small: S3 takes parts of 5MiB and more",
        );
    }
    if settings.memory_bytes < settings.part_bytes {
        reader.mistake(
            "UPLOAD_MEMORY_BYTES",
            "is smaller than one part, UPLOAD_PART_BYTES",
        );
    }
    settings
}

fn size(reader: &mut Reader<'_>, name: &str, default: usize, about: &str) -> usize {
    usize::try_from(reader.bytes(name, default as u64, about)).unwrap_or(usize::MAX)
}

//! Environment variables of the HTTP side.

use std::{path::Path, time::Duration};

use service_runtime::{
    http::{ServerLimits, share},
    settings::SettingsReader,
};

use super::at_least;
use crate::{
    api::{Tokens, TrustedProxies},
    breaker::BreakerSettings,
    upload::UploadSettings,
};

pub(super) fn tokens(reader: &mut SettingsReader<'_>) -> Tokens {
    let file = reader.optional(
        "TOKENS_FILE",
        "file with the tokens, one line `name:sha256:scopes[:project]` each; if not set, requests need no token",
    );
    let Some(file) = file else {
        return Tokens::allow_all();
    };
    Tokens::from_file(Path::new(&file)).unwrap_or_else(|error| {
        reader.add_error("TOKENS_FILE", error.to_string());
        Tokens::allow_all()
    })
}

/// Default number of client connections.
const CONNECTIONS: usize = 1024;

pub(super) fn http(reader: &mut SettingsReader<'_>) -> ServerLimits {
    let connections = at_least(
        reader,
        1,
        "MAX_CONNECTIONS",
        CONNECTIONS,
        "maximum number of client connections; one more replaces the connection that is idle for longest, or waits \
         while all are busy",
    );
    let per_address = reader.parsed_optional(
        "MAX_CONNECTIONS_PER_ADDRESS",
        "maximum number of connections per client address (for IPv6: per /64 prefix); one more replaces the address's \
         connection that is idle for longest, or gets 503 while all are busy; default: three quarters of \
         `MAX_CONNECTIONS`. Clients behind a proxy share its address",
    );
    if per_address == Some(0) {
        reader.add_error("MAX_CONNECTIONS_PER_ADDRESS", "is too small: at least 1");
    }
    ServerLimits {
        per_address: per_address.unwrap_or(share(connections)),
        ..ServerLimits::with_connections(connections)
    }
}

pub(super) fn trusted_proxies(reader: &mut SettingsReader<'_>) -> TrustedProxies {
    let proxies = reader.parsed_optional(
        "TRUSTED_PROXIES",
        "proxies whose `X-Forwarded-For` is trusted to name the client in log lines: addresses and networks, separated \
         by commas, for example `10.0.0.0/8`; if not set, the client is the peer of the connection",
    );
    proxies.unwrap_or_default()
}

pub(super) fn breaker(reader: &mut SettingsReader<'_>) -> BreakerSettings {
    let default = BreakerSettings::default();
    BreakerSettings {
        failures: at_least(
            reader,
            1,
            "BREAKER_FAILURES",
            default.failures,
            "failures in a row after which requests to PostgreSQL or the object store fail at once",
        ),
        open_duration: reader.duration(
            "BREAKER_REST",
            default.open_duration,
            "how long they fail at once before one request probes the server",
        ),
        ..default
    }
}

pub(super) fn upload(reader: &mut SettingsReader<'_>, store_timeout: Duration) -> UploadSettings {
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
            "part size for bodies of unknown length, which go to the object store in parts",
        ),
        memory_bytes: size(
            reader,
            "UPLOAD_MEMORY_BYTES",
            default.memory_bytes,
            "memory for the parts of all such bodies; more uploads wait",
        ),
        memory_wait: reader.duration(
            "UPLOAD_MEMORY_WAIT",
            default.memory_wait,
            "how long an upload waits for that memory before the response is 503",
        ),
        idle_timeout: reader.duration(
            "UPLOAD_IDLE_TIMEOUT",
            default.idle_timeout,
            "how long a camera may send nothing before the response is 408",
        ),
        min_bytes_per_second: reader.bytes(
            "MIN_UPLOAD_BYTES_PER_SECOND",
            default.min_bytes_per_second,
            "minimum rate of a camera, in bytes per second of waiting, measured over each `UPLOAD_IDLE_TIMEOUT`; below it \
             the response is 408; 0: no minimum",
        ),
        store_timeout,
    };
    if settings.part_bytes < crate::upload::MIN_PART_BYTES {
        reader.add_error(
            "UPLOAD_PART_BYTES",
            "is too small: S3 requires parts of at least 5MiB",
        );
    }
    if settings.memory_bytes < settings.part_bytes {
        reader.add_error(
            "UPLOAD_MEMORY_BYTES",
            "is smaller than UPLOAD_PART_BYTES: it must hold at least one part",
        );
    }
    settings
}

fn size(reader: &mut SettingsReader<'_>, name: &str, default: usize, about: &str) -> usize {
    usize::try_from(reader.bytes(name, default as u64, about)).unwrap_or(usize::MAX)
}

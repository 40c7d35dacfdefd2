//! Where the object store is and who we are there.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::settings::Reader;

/// How to reach the object store, and which buckets to use there.
#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// URL of the server, without a bucket.
    pub endpoint: String,
    /// Access key.
    pub access_key_id: String,
    /// The access key's secret.
    pub secret_access_key: SecretString,
    /// Region, part of the signature.
    pub region: String,
    /// Bucket of the originals.
    pub input_bucket: String,
    /// Bucket of the anonymised photos.
    pub output_bucket: String,
    /// PEM certificates to trust beside the system's.
    pub ca: Option<String>,
    /// Limit on the TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// Limit on the wait for an answer to begin, and on each pause within it.
    pub answer_timeout: Duration,
}

impl StoreSettings {
    /// Reads the store's variables. How long an answer may take depends on
    /// who waits, so its default is the program's.
    pub fn read(reader: &mut Reader<'_>, answer_timeout: Duration) -> Self {
        let input_bucket = reader.string("OBJECT_STORE_INPUT_BUCKET", "input", "bucket of the originals");
        let output_bucket = reader.string(
            "OBJECT_STORE_OUTPUT_BUCKET",
            "output",
            "bucket of the anonymised photos",
        );
        if input_bucket == output_bucket {
            reader.mistake(
                "OBJECT_STORE_OUTPUT_BUCKET",
                "is the input bucket: anonymised photos must not lie among the originals",
            );
        }
        Self {
            endpoint: endpoint(reader),
            access_key_id: reader.required("OBJECT_STORE_ACCESS_KEY_ID", "access key at the object store"),
            secret_access_key: reader.secret("OBJECT_STORE_SECRET_ACCESS_KEY", "the access key's secret"),
            region: reader.string(
                "OBJECT_STORE_REGION",
                "us-east-1",
                "region, as the object store expects it in signatures",
            ),
            input_bucket,
            output_bucket,
            ca: reader.certificates(
                "OBJECT_STORE_CA",
                "PEM certificates to trust beside the system's; usually given as `OBJECT_STORE_CA_FILE`",
            ),
            connect_timeout: reader.duration(
                "OBJECT_STORE_CONNECT_TIMEOUT",
                Duration::from_secs(1),
                "limit on connecting to the object store",
            ),
            answer_timeout: reader.duration(
                "OBJECT_STORE_ANSWER_TIMEOUT",
                answer_timeout,
                "limit on the wait for an answer of the object store to begin, and on each pause within it",
            ),
        }
    }
}

/// `OBJECT_STORE_ENDPOINT`, or the URL made of host, port and TLS, which are
/// the given programs' variables.
fn endpoint(reader: &mut Reader<'_>) -> String {
    let endpoint = reader.optional(
        "OBJECT_STORE_ENDPOINT",
        "URL of the object store; or give `OBJECT_STORE_HOST`, `OBJECT_STORE_PORT`, `OBJECT_STORE_TLS`",
    );
    let host = reader.optional("OBJECT_STORE_HOST", "host name of the object store");
    let port: u16 = reader.parsed("OBJECT_STORE_PORT", 9000, "port of the object store");
    let tls = reader.flag("OBJECT_STORE_TLS", "speak TLS to the object store");
    match (endpoint, host) {
        (Some(endpoint), _) => {
            let usable = Url::parse(&endpoint).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
            });
            if !usable {
                reader.mistake(
                    "OBJECT_STORE_ENDPOINT",
                    "is no URL of a server: write http:// or https://, a host and a port, without credentials",
                );
            }
            endpoint.trim_end_matches('/').to_owned()
        }
        (None, Some(host)) => {
            let scheme = if tls { "https" } else { "http" };
            let endpoint = format!("{scheme}://{host}:{port}");
            if Url::parse(&endpoint).is_err() || host.contains(['/', '@']) {
                reader.mistake("OBJECT_STORE_HOST", "is no host name or address");
            }
            endpoint
        }
        (None, None) => {
            reader.mistake(
                "OBJECT_STORE_ENDPOINT",
                "is not set: set it, or OBJECT_STORE_HOST",
            );
            String::new()
        }
    }
}

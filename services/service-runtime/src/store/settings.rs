//! Settings of the connection to the object store.

use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::settings::SettingsReader;

#[derive(Clone, Debug)]
pub struct StoreSettings {
    /// URL of the server, without a bucket.
    pub endpoint: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
    /// Region in the request signatures.
    pub region: String,
    /// Bucket of the originals.
    pub input_bucket: String,
    /// Bucket of the anonymised photos.
    pub output_bucket: String,
    /// PEM certificates of CAs to trust in addition to the system's.
    pub ca: Option<String>,
    /// Time limit for the TCP and TLS handshake.
    pub connect_timeout: Duration,
    /// Time limit for a response to begin, and for each pause within it.
    pub answer_timeout: Duration,
}

impl StoreSettings {
    /// Reads the store's variables. The program chooses the default of the answer timeout, because it depends
    /// on the waiting client.
    pub fn read(reader: &mut SettingsReader<'_>, answer_timeout: Duration) -> Self {
        let input_bucket = reader.string("OBJECT_STORE_INPUT_BUCKET", "input", "bucket of the originals");
        let output_bucket = reader.string(
            "OBJECT_STORE_OUTPUT_BUCKET",
            "output",
            "bucket of the anonymised photos",
        );
        if input_bucket == output_bucket {
            reader.add_error(
                "OBJECT_STORE_OUTPUT_BUCKET",
                "is the same as the input bucket: anonymised photos need a bucket of their own",
            );
        }
        Self {
            endpoint: endpoint(reader),
            access_key_id: reader.required("OBJECT_STORE_ACCESS_KEY_ID", "access key of the object store"),
            secret_access_key: reader.secret("OBJECT_STORE_SECRET_ACCESS_KEY", "secret of the access key"),
            region: reader.string(
                "OBJECT_STORE_REGION",
                "us-east-1",
                "region that the object store expects in signatures",
            ),
            input_bucket,
            output_bucket,
            ca: reader.certificates(
                "OBJECT_STORE_CA",
                "PEM certificates of CAs to trust for the object store, in addition to the system's; usually set as `OBJECT_STORE_CA_FILE`",
            ),
            connect_timeout: reader.duration(
                "OBJECT_STORE_CONNECT_TIMEOUT",
                Duration::from_secs(1),
                "time limit for connecting to the object store",
            ),
            answer_timeout: reader.duration(
                "OBJECT_STORE_ANSWER_TIMEOUT",
                answer_timeout,
                "time limit for a response of the object store to begin, and for each pause within it",
            ),
        }
    }
}

/// `OBJECT_STORE_ENDPOINT`, or a URL built from host, port and TLS, the variables of the legacy programs.
fn endpoint(reader: &mut SettingsReader<'_>) -> String {
    let endpoint = reader.optional(
        "OBJECT_STORE_ENDPOINT",
        "URL of the object store; or set `OBJECT_STORE_HOST`, `OBJECT_STORE_PORT` and `OBJECT_STORE_TLS`",
    );
    let host = reader.optional("OBJECT_STORE_HOST", "host name of the object store");
    let port: u16 = reader.parsed("OBJECT_STORE_PORT", 9000, "port of the object store");
    let tls = reader.flag("OBJECT_STORE_TLS", "use TLS for the object store");
    match (endpoint, host) {
        (Some(endpoint), _) => {
            let usable = Url::parse(&endpoint).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty()
            });
            if !usable {
                reader.add_error(
                    "OBJECT_STORE_ENDPOINT",
                    "is not the URL of a server: write http:// or https://, a host and a port, without credentials",
                );
            }
            endpoint.trim_end_matches('/').to_owned()
        }
        (None, Some(host)) => {
            let scheme = if tls { "https" } else { "http" };
            let endpoint = format!("{scheme}://{host}:{port}");
            if Url::parse(&endpoint).is_err() || host.contains(['/', '@']) {
                reader.add_error("OBJECT_STORE_HOST", "is not a host name or address");
            }
            endpoint
        }
        (None, None) => {
            reader.add_error(
                "OBJECT_STORE_ENDPOINT",
                "is not set: set it, or OBJECT_STORE_HOST",
            );
            String::new()
        }
    }
}

//! Settings: all mistakes are reported at once, without values.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::{collections::BTreeMap, io::Write, time::Duration};

use secrecy::ExposeSecret;
use service_runtime::{
    broker::BrokerSettings,
    settings::{SettingsReader, markdown_table},
    store::StoreSettings,
};

fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const COMPLETE: [(&str, &str); 6] = [
    ("RABBITMQ_HOST", "broker"),
    ("RABBITMQ_USERNAME", "worker"),
    ("RABBITMQ_PASSWORD", "hush-1"),
    ("OBJECT_STORE_HOST", "store"),
    ("OBJECT_STORE_ACCESS_KEY_ID", "key"),
    ("OBJECT_STORE_SECRET_ACCESS_KEY", "hush-2"),
];

#[test]
fn the_variables_of_the_given_programs_are_enough() {
    let environment = environment(&COMPLETE);
    let mut reader = SettingsReader::new(&environment);
    let broker = BrokerSettings::read(&mut reader, "irmgard");
    let store = StoreSettings::read(&mut reader, Duration::from_secs(10));
    reader.finish().expect("no mistake");

    assert_eq!((broker.host.as_str(), broker.port), ("broker", 5672));
    assert_eq!(broker.queues.results, "images.results");
    assert_eq!(broker.vhost, "/");
    assert_eq!(broker.connection_name, "irmgard");
    assert_eq!(store.endpoint, "http://store:9000");
    assert_eq!(
        (store.input_bucket.as_str(), store.output_bucket.as_str()),
        ("input", "output")
    );
    assert_eq!(store.secret_access_key.expose_secret(), "hush-2");
}

#[test]
fn all_mistakes_are_reported_together_without_values() {
    let environment = environment(&[
        ("RABBITMQ_PORT", "secret-port"),
        ("RABBITMQ_TLS", "secret-flag"),
        ("RABBITMQ_HEARTBEAT", "secret-duration"),
        ("RABBITMQ_PASSWORD", "hush"),
        ("RABBITMQ_PASSWORD_FILE", "/secret/path"),
        ("RABBITMQ_USERNAME_FILE", "/nonexistent/user"),
        ("OBJECT_STORE_ENDPOINT", "ftp://secret-endpoint"),
        ("OBJECT_STORE_INPUT_BUCKET", "same"),
        ("OBJECT_STORE_OUTPUT_BUCKET", "same"),
    ]);
    let mut reader = SettingsReader::new(&environment);
    BrokerSettings::read(&mut reader, "irmgard");
    StoreSettings::read(&mut reader, Duration::from_secs(10));
    reader.bytes("LIMIT", 1, "a limit");
    reader.add_error("LIMIT", "is not to my liking");
    let text = reader.finish().expect_err("mistakes").to_string();

    let names: Vec<_> = text
        .lines()
        .map(|line| line.split(':').next().unwrap_or_default())
        .collect();
    assert_eq!(
        names,
        [
            "LIMIT",
            "OBJECT_STORE_ACCESS_KEY_ID",
            "OBJECT_STORE_ENDPOINT",
            "OBJECT_STORE_OUTPUT_BUCKET",
            "OBJECT_STORE_SECRET_ACCESS_KEY",
            "RABBITMQ_HEARTBEAT",
            "RABBITMQ_HOST",
            "RABBITMQ_PASSWORD",
            "RABBITMQ_PORT",
            "RABBITMQ_TLS",
            "RABBITMQ_USERNAME_FILE",
        ],
        "{text}"
    );
    assert!(!text.contains("secret-") && !text.contains("hush"), "{text}");
}

#[test]
fn a_value_may_come_from_a_file() {
    let mut file = tempfile::NamedTempFile::new().expect("file");
    file.write_all(b"hush\r\n").expect("written");
    let path = file.path().display().to_string();
    let environment = environment(&[("PASSWORD_FILE", &path), ("SIZE_FILE", &path), ("EMPTY", "")]);
    let mut reader = SettingsReader::new(&environment);
    assert_eq!(reader.secret("PASSWORD", "a secret").expose_secret(), "hush");
    assert_eq!(reader.optional("EMPTY", "nothing"), None);
    assert_eq!(reader.bytes("SIZE", 5, "a size"), 5);
    let text = reader.finish().expect_err("a mistake").to_string();
    assert!(text.starts_with("SIZE: is not a size"), "{text}");
    assert!(!text.contains("hush"), "{text}");
}

#[test]
fn the_documentation_lists_what_was_read() {
    let environment = BTreeMap::new();
    let mut reader = SettingsReader::new(&environment);
    reader.required("HOST", "where");
    reader.secret("PASSWORD", "what for");
    reader.parsed("PORT", 80_u16, "which");
    reader.bytes("LIMIT", 64 << 20, "how much | at most");
    reader.duration("GRACE", Duration::from_secs(25), "how long");
    reader.flag("TLS", "whether");
    reader.optional("CA", "whom to trust");
    reader.required("HOST", "read twice, reported once");
    assert_eq!(
        markdown_table(reader.documentation()),
        "| variable | kind | default | what it does |\n\
         |---|---|---|---|\n\
         | `HOST` | text | **required** | where |\n\
         | `PASSWORD` | secret | **required** | what for |\n\
         | `PORT` | number | `80` | which |\n\
         | `LIMIT` | size | `64MiB` | how much \\| at most |\n\
         | `GRACE` | duration | `25s` | how long |\n\
         | `TLS` | flag | `0` | whether |\n\
         | `CA` | text | – | whom to trust |\n"
    );
}

use std::collections::BTreeMap;

use crate::place::{run, stderr};

fn environment() -> BTreeMap<String, String> {
    [
        ("POSTGRES_HOST", "localhost"),
        ("POSTGRES_USERNAME", "irmgard"),
        ("POSTGRES_PASSWORD", "hush-postgres"),
        ("RABBITMQ_HOST", "localhost"),
        ("RABBITMQ_USERNAME", "irmgard"),
        ("RABBITMQ_PASSWORD", "hush-rabbitmq"),
        ("OBJECT_STORE_HOST", "localhost"),
        ("OBJECT_STORE_ACCESS_KEY_ID", "key"),
        ("OBJECT_STORE_SECRET_ACCESS_KEY", "hush-store"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

#[test]
fn the_given_programs_variables_are_enough() {
    let settings = irmgard::settings::ServeSettings::from_environment(&environment()).unwrap();
    assert_eq!(settings.listen.port(), 8080);
    assert_eq!(settings.store.input_bucket, "input");
    assert_eq!(settings.store.output_bucket, "output");
    assert_eq!(settings.broker.queues.jobs, "images");
    assert_eq!(settings.upload.max_bytes, 64 << 20);
    assert_eq!(settings.upload.max_pixels, 100_000_000);
    assert_eq!(settings.upload.memory_bytes, 96 << 20);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hush"), "no secret is ever shown: {shown}");
}

#[tokio::test]
async fn every_mistake_is_told_at_once_with_exit_code_2_and_no_secret() {
    let mut environment = environment();
    environment.remove("RABBITMQ_PASSWORD");
    for (name, value) in [
        ("POSTGRES_PORT", "hush-port"),
        ("POSTGRES_SSLMODE", "hush-mode"),
        ("POSTGRES_PASSWORD_FILE", "/hush"),
        ("POSTGRES_BACKGROUND_POOL_SIZE", "1"),
        ("MAX_UPLOAD_BYTES", "hush bytes"),
        ("UPLOAD_PART_BYTES", "1MiB"),
        ("RELAY_LEASE", "1s"),
        ("RECONCILE_INTERVAL", "0s"),
        ("ADMIN_LISTEN", "hush"),
        ("TOKENS_FILE", "/nowhere/tokens"),
        ("OBJECT_STORE_CA", "hush no pem"),
        ("OBJECT_STORE_OUTPUT_BUCKET", "input"),
        ("LOG_FORMAT", "hush-format"),
    ] {
        environment.insert(name.to_owned(), value.to_owned());
    }
    let output = run(&["serve"], &environment).await;
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for name in [
        "RABBITMQ_PASSWORD",
        "POSTGRES_PORT",
        "POSTGRES_SSLMODE",
        "POSTGRES_PASSWORD",
        "POSTGRES_BACKGROUND_POOL_SIZE",
        "MAX_UPLOAD_BYTES",
        "UPLOAD_PART_BYTES",
        "RELAY_LEASE",
        "RECONCILE_INTERVAL",
        "ADMIN_LISTEN",
        "TOKENS_FILE",
        "OBJECT_STORE_CA",
        "OBJECT_STORE_OUTPUT_BUCKET",
        "LOG_FORMAT",
    ] {
        assert!(told.contains(name), "{name} is not among:\n{told}");
    }
    assert!(!told.contains("hush"), "{told}");
    assert_eq!(told.matches("TOKENS_FILE").count(), 1, "{told}");
}

#[tokio::test]
async fn each_command_asks_for_no_more_than_it_needs() {
    let told = stderr(&run(&["migrate"], &BTreeMap::new()).await);
    assert!(
        told.contains("POSTGRES_HOST") && !told.contains("RABBITMQ") && !told.contains("OBJECT_STORE"),
        "{told}"
    );
    for command in [["sweep"].as_slice(), &["failed", "list"]] {
        let told = stderr(&run(command, &BTreeMap::new()).await);
        assert!(
            told.contains("OBJECT_STORE_ENDPOINT") && !told.contains("RABBITMQ"),
            "{told}"
        );
    }
    let output = run(&["dance"], &BTreeMap::new()).await;
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn certificates_are_verified_where_they_are_given() {
    let mut environment = environment();
    environment.insert("POSTGRES_CA".to_owned(), "-----BEGIN CERTIFICATE-----".to_owned());
    let read = irmgard::settings::ServeSettings::from_environment;
    let settings = read(&environment).unwrap();
    assert!(matches!(
        settings.database.ssl_mode,
        sqlx::postgres::PgSslMode::VerifyFull
    ));
    environment.insert("POSTGRES_SSLMODE".to_owned(), "require".to_owned());
    let mistakes = read(&environment).unwrap_err().to_string();
    assert!(mistakes.contains("POSTGRES_SSLMODE"), "{mistakes}");
}

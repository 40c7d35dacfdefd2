use std::collections::BTreeMap;

use crate::fixture::{run, stderr};

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
fn the_variables_of_the_given_program_are_enough() {
    let settings = irmgard::settings::ServeSettings::from_environment(&environment()).unwrap();
    assert_eq!(settings.listen.port(), 8080);
    assert_eq!(settings.store.input_bucket, "input");
    assert_eq!(settings.store.output_bucket, "output");
    assert_eq!(settings.broker.queues.jobs, "images");
    assert_eq!(settings.upload.max_bytes, 64 << 20);
    assert_eq!(settings.upload.max_pixels, 100_000_000);
    assert_eq!(settings.upload.memory_bytes, 96 << 20);
    let shown = format!("{settings:?}");
    assert!(!shown.contains("hush"), "a secret is shown: {shown}");
}

#[tokio::test]
async fn all_mistakes_are_reported_at_once_with_exit_code_2_and_no_secret() {
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
    let text = stderr(&output);
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
        assert!(text.contains(name), "{name} is missing in:\n{text}");
    }
    assert!(!text.contains("hush"), "{text}");
    assert_eq!(text.matches("TOKENS_FILE").count(), 1, "{text}");
}

#[tokio::test]
async fn each_command_requires_only_its_own_variables() {
    let text = stderr(&run(&["migrate"], &BTreeMap::new()).await);
    assert!(
        text.contains("POSTGRES_HOST") && !text.contains("RABBITMQ") && !text.contains("OBJECT_STORE"),
        "{text}"
    );
    for command in [["sweep"].as_slice(), &["failed", "list"]] {
        let text = stderr(&run(command, &BTreeMap::new()).await);
        assert!(
            text.contains("OBJECT_STORE_ENDPOINT") && !text.contains("RABBITMQ"),
            "{text}"
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

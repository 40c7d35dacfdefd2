//! TLS to PostgreSQL, on a server of its own.

use irmgard::{database::Database, settings::ServeSettings};
use local::{Environment, Stack};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use test_support::tls::{Authority, Certificate};

use crate::fixture::{eventually, run, stderr, stdout};

/// Gives the server a certificate for `127.0.0.1` and enables TLS.
async fn offer_tls(stack: &Stack, authority: &Authority) {
    let Certificate { certificate, key } = authority.certify(&["127.0.0.1"]);
    let url = stack.postgres().access().url();
    let mut connection = PgConnection::connect(&url).await.unwrap();
    for (file, pem) in [("server.crt", certificate), ("server.key", key)] {
        // The server itself writes the files into its data directory, so that it owns them.
        let write = format!(
            "COPY (SELECT string_to_table('{pem}', E'\\n')) TO PROGRAM 'umask 077; cat > {file}'",
            pem = pem.replace('\r', "")
        );
        connection.execute(AssertSqlSafe(write)).await.unwrap();
    }
    connection.execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
    eventually("the server offers TLS", async || {
        let mut connection = PgConnection::connect(&format!("{url}?sslmode=disable"))
            .await
            .unwrap();
        let ssl: String = sqlx::query_scalar("SHOW ssl")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        ssl == "on"
    })
    .await;
}

fn with_variables(environment: &Environment, more: &[(&str, &str)]) -> Environment {
    let mut environment = environment.clone();
    for (name, value) in more {
        environment.insert((*name).to_owned(), (*value).to_owned());
    }
    environment
}

/// Why the program cannot reach the database; `None` if it can.
async fn connection_error(environment: &Environment) -> Option<String> {
    let output = run(&["migrate"], environment).await;
    (!output.status.success()).then(|| format!("{}{}", stdout(&output), stderr(&output)))
}

#[tokio::test]
async fn a_database_with_a_wrong_certificate_is_refused() {
    let stack = Stack::builder().only_ours().start().await.unwrap();
    let plain = stack.environment();
    let (ours, other) = (Authority::new("the database"), Authority::new("somebody else"));
    let verified = with_variables(&plain, &[("POSTGRES_CA", &ours.pem())]);

    // Never without encryption if a certificate is required.
    let error = connection_error(&verified).await.expect("there is no TLS yet");
    assert!(error.contains("TLS"), "{error}");

    offer_tls(&stack, &ours).await;
    assert_eq!(connection_error(&verified).await, None);
    let settings = ServeSettings::from_environment(&verified).unwrap();
    let database = Database::connect_lazily(&settings.database);
    let encrypted: bool = sqlx::query_scalar("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        .fetch_one(database.background())
        .await
        .unwrap();
    assert!(encrypted);
    database.close().await;

    let error = connection_error(&with_variables(&plain, &[("POSTGRES_CA", &other.pem())])).await;
    let error = error.expect("another CA's");
    assert!(error.contains("certificate"), "{error}");
    // The system's CAs did not sign it either.
    let error = connection_error(&with_variables(&plain, &[("POSTGRES_SSLMODE", "verify-full")])).await;
    assert!(error.is_some());

    // The certificate is for the address, not for the name.
    let named = with_variables(&verified, &[("POSTGRES_HOST", "localhost")]);
    let error = connection_error(&named)
        .await
        .expect("another host's certificate");
    assert!(error.contains("certificate"), "{error}");
    let lenient = with_variables(&named, &[("POSTGRES_SSLMODE", "verify-ca")]);
    assert_eq!(connection_error(&lenient).await, None);
    stack.stop().await.unwrap();
}

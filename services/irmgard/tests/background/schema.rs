//! Migrations, and the versions of the schema that a program serves.

use std::time::Duration;

use irmgard::database::{self, Database, SchemaError, SchemaState, required_version};
use sqlx::AssertSqlSafe;
use test_support::FaultProxy;
use tokio::time::timeout;

use crate::fixture::{Fixture, TIMEOUT, eventually};

#[tokio::test]
async fn several_migrations_may_start_at_once() {
    let fixture = Fixture::without_schema().await;
    let options = fixture.settings.database.connect_options();
    let migrations = (0..4).map(|_| {
        let options = options.clone();
        tokio::spawn(async move { database::migrate(&options, None).await })
    });
    let mut first = 0;
    for migration in migrations {
        let outcome = migration.await.unwrap().unwrap();
        assert_eq!(outcome.after, required_version());
        first += i32::from(outcome.before == 0);
    }
    assert_eq!(first, 1, "one of them found nothing, the others found its work");
    assert_eq!(
        fixture.database.check_schema().await.unwrap(),
        SchemaState::Current
    );
}

#[tokio::test]
async fn migrate_waits_for_a_missing_database() {
    let fixture = Fixture::without_schema().await;
    let options = fixture.settings.database.connect_options();
    let name = format!("{}_later", fixture.settings.database.database);
    let later = options.clone().database(&name);

    let refusal = database::wait_until_reachable(&later, Duration::ZERO).await;
    assert!(refusal.is_err_and(|error| error.to_string().contains(&name)));

    let waiting =
        tokio::spawn(async move { database::wait_until_reachable(&later, Duration::from_secs(60)).await });
    let create = format!("CREATE DATABASE {name}");
    sqlx::query(AssertSqlSafe(create))
        .execute(fixture.pool())
        .await
        .unwrap();
    waiting.await.unwrap().unwrap();
    let drop = format!("DROP DATABASE {name} WITH (FORCE)");
    sqlx::query(AssertSqlSafe(drop))
        .execute(fixture.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_program_serves_on_its_own_schema_and_on_the_next_one() {
    let fixture = Fixture::without_schema().await;
    assert!(matches!(
        fixture.database.check_schema().await,
        Err(SchemaError::TooOld { found: 0, .. })
    ));
    let options = fixture.settings.database.connect_options();
    database::migrate(&options, None).await.unwrap();

    let next = |version: i64| {
        let insert = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
                      VALUES ($1, 'of a later program', true, '', 0)";
        sqlx::query(insert).bind(version).execute(fixture.pool())
    };
    next(9001).await.unwrap();
    assert_eq!(
        fixture.database.check_schema().await.unwrap(),
        SchemaState::NewerByOne
    );
    database::migrate(&options, None)
        .await
        .expect("migrations of a later program are left alone");

    next(9002).await.unwrap();
    assert!(matches!(
        fixture.database.check_schema().await,
        Err(SchemaError::TooNew { ahead: 2 })
    ));
}

async fn tables(fixture: &Fixture) -> Vec<String> {
    sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()")
        .fetch_all(fixture.pool())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_runtime_role_writes_rows_and_changes_no_schema() {
    let fixture = Fixture::without_schema().await;
    let role = format!("{}_run", fixture.settings.database.database);
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'x'");
    sqlx::query(AssertSqlSafe(create))
        .execute(fixture.pool())
        .await
        .unwrap();
    let options = fixture.settings.database.connect_options();
    database::migrate(&options, Some(&role)).await.unwrap();

    let mut settings = fixture.settings.database.clone();
    settings.username.clone_from(&role);
    settings.password = "x".into();
    let restricted = Database::connect_lazily(&settings);
    assert_eq!(restricted.check_schema().await.unwrap(), SchemaState::Current);
    let pool = restricted.background();
    let allowed = [
        "SELECT nextval('photo_id_seq')",
        "INSERT INTO photo (project, name, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256,
                            original)
         VALUES ('p', 'n', now(), 'client', 'image/png', 1, 1, 1, sha256('x'), 's3://input/x')",
        "INSERT INTO outbox (photo_id) SELECT id FROM photo",
        "INSERT INTO idempotency_key (project, key, sha256, photo_id) SELECT 'p', 'k', sha256('x'), id FROM photo",
        "INSERT INTO failed_photo_use (who, action) VALUES ('me', 'list')",
        "INSERT INTO sweep_run (deletes, left_over) VALUES (false, '{}')",
        "UPDATE installation SET bound = true",
        "UPDATE failed_photo_use SET logged = true",
        "UPDATE photo SET status = 'queued'",
        "DELETE FROM outbox",
    ];
    for statement in allowed {
        sqlx::query(statement)
            .execute(pool)
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
    for table in tables(&fixture).await {
        let select = format!("SELECT FROM {table}");
        let read = sqlx::query(AssertSqlSafe(select)).execute(pool).await;
        read.unwrap_or_else(|e| panic!("{table} needs a grant in database/schema.rs: {e}"));
        assert!(
            table == "_sqlx_migrations" || allowed.iter().any(|statement| statement.contains(&table)),
            "{table}: add a statement that writes it to this test"
        );
    }
    for refused in [
        "ALTER TABLE photo ADD COLUMN x int",
        "DROP TABLE outbox",
        "TRUNCATE photo CASCADE",
        "DELETE FROM failed_photo_use",
        "UPDATE failed_photo_use SET who = 'nobody'",
        "DELETE FROM _sqlx_migrations",
    ] {
        let error = sqlx::query(refused).execute(pool).await.expect_err(refused);
        assert_eq!(
            error.as_database_error().unwrap().code().as_deref(),
            Some("42501"),
            "{refused}"
        );
    }
    restricted.close().await;
    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    sqlx::raw_sql(AssertSqlSafe(drop))
        .execute(fixture.pool())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_migration_whose_server_was_lost_ends() {
    let fixture = Fixture::without_schema().await;
    let mut settings = fixture.settings.database.clone();
    let proxy = FaultProxy::start(&format!("{}:{}", settings.host, settings.port)).unwrap();
    settings.host = proxy.address().ip().to_string();
    settings.port = proxy.address().port();

    // Another migration holds the lock, so this one waits without a limit.
    let mut other = fixture.pool().acquire().await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(0x69_726d_6761_7264_i64)
        .execute(&mut *other)
        .await
        .unwrap();
    let migrating = tokio::spawn(async move { database::migrate(&settings.connect_options(), None).await });
    let waiting_query =
        "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'";
    let waiting = async || -> Option<i32> {
        sqlx::query_scalar(waiting_query)
            .fetch_optional(fixture.pool())
            .await
            .unwrap()
    };
    eventually("the migration waits", async || waiting().await.is_some()).await;

    proxy.strand().await;
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(waiting().await)
        .execute(fixture.pool())
        .await
        .unwrap();
    let error = timeout(TIMEOUT, migrating)
        .await
        .expect("the migration ends")
        .unwrap()
        .unwrap_err();
    assert!(
        error.to_string().contains("no longer works on the migration"),
        "{error}"
    );
}

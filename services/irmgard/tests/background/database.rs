//! Connections of requests to PostgreSQL.

use std::time::Duration;

use irmgard::{
    breaker::{Breaker, BreakerSettings},
    database::{self, Database},
    photo::{Records, RecordsError},
};
use sqlx::PgConnection;

use tokio::time::timeout;

use crate::fixture::{Fixture, eventually};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

async fn application_name(connection: &mut PgConnection) -> String {
    sqlx::query_scalar("SELECT current_setting('application_name')")
        .fetch_one(connection)
        .await
        .unwrap()
}

async fn backend_pid(connection: &mut PgConnection) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(connection)
        .await
        .unwrap()
}

/// A fixture whose requests share one connection.
async fn fixture_with_one_connection() -> (Fixture, Database) {
    let fixture = Fixture::new().await;
    let mut settings = fixture.settings.database.clone();
    settings.request_connections = 1;
    let database = Database::connect_lazily(&settings);
    (fixture, database)
}
#[tokio::test]
async fn a_request_is_named_in_the_database_from_begin_to_commit_and_rollback() {
    let (_place, database) = fixture_with_one_connection().await;
    let mut request = database.request(Some(TRACE)).await.unwrap();
    let mut transaction = request.begin().await.unwrap();
    assert_eq!(
        application_name(&mut transaction).await,
        format!("irmgard {TRACE}")
    );
    transaction.rollback().await.unwrap();
    let name = application_name(request.connection().await.unwrap()).await;
    assert_eq!(
        name,
        format!("irmgard {TRACE}"),
        "a rollback does not take the name back"
    );
    let transaction = request.begin().await.unwrap();
    transaction.commit().await.unwrap();
    let pid = backend_pid(request.connection().await.unwrap()).await;
    request.give_back(&Ok(()));

    let mut plain = database.request(None).await.unwrap();
    let connection = plain.connection().await.unwrap();
    assert_eq!(application_name(connection).await, "irmgard");
    assert_eq!(
        backend_pid(connection).await,
        pid,
        "the connection was used again"
    );
    plain.give_back(&Ok(()));
}

#[tokio::test]
async fn a_trace_id_cannot_end_the_literal_that_it_is_written_into() {
    let (_place, database) = fixture_with_one_connection().await;
    let mut request = database.request(Some("x'; DROP TABLE photo; --")).await.unwrap();
    assert_eq!(
        application_name(request.connection().await.unwrap()).await,
        "irmgard"
    );
}

#[tokio::test]
async fn a_request_that_is_dropped_takes_its_connection_with_it() {
    let (fixture, database) = fixture_with_one_connection().await;
    let mut request = database.request(Some(TRACE)).await.unwrap();
    let pid = backend_pid(&mut request.begin().await.unwrap()).await;
    request.give_back(&Ok(()));
    let is_gone = async || {
        let alive: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)")
            .bind(pid)
            .fetch_one(fixture.pool())
            .await
            .unwrap();
        !alive
    };
    eventually("the connection with the open transaction is closed", is_gone).await;
    let mut next = database.request(None).await.unwrap();
    assert_ne!(backend_pid(next.connection().await.unwrap()).await, pid);
}

#[tokio::test]
async fn connections_that_died_in_the_pool_fail_no_request() {
    let fixture = Fixture::new().await;
    let mut requests = Vec::new();
    for _ in 0..5 {
        let mut request = fixture.database.request(None).await.unwrap();
        request.connection().await.unwrap();
        requests.push(request);
    }
    for request in requests {
        request.give_back(&Ok(()));
    }
    eventually("all connections are idle", async || {
        fixture.database.requests().num_idle() == 5
    })
    .await;
    fixture.set_database_closed(true).await;
    fixture.set_database_closed(false).await;
    let mut request = fixture.database.request(Some(TRACE)).await.unwrap();
    let transaction = request.begin().await.expect("dead connections are replaced");
    transaction.commit().await.unwrap();
}

/// Takes idle connections after `give_up`; returns whether an old one is used again.
async fn idle_connections_are_used_again(fixture: &Fixture, give_up: impl AsyncFnOnce()) -> bool {
    let mut requests = Vec::new();
    let mut old = Vec::new();
    for _ in 0..4 {
        let mut request = fixture.database.request(None).await.unwrap();
        old.push(backend_pid(request.connection().await.unwrap()).await);
        requests.push(request);
    }
    for request in requests {
        request.give_back(&Ok(()));
    }
    eventually("all connections are idle", async || {
        fixture.database.requests().num_idle() == 4
    })
    .await;
    give_up().await;
    let mut request = fixture.database.request(None).await.unwrap();
    old.contains(&backend_pid(request.connection().await.unwrap()).await)
}

/// As after a server vanished from the network: older connections answer nothing and must not delay another request.
#[tokio::test]
async fn a_timeout_makes_older_connections_suspect() {
    let fixture = Fixture::new().await;
    let breaker = |name| Breaker::new(name, BreakerSettings::default());
    let limit = Duration::from_millis(600);
    let records = Records::new(
        fixture.database.clone(),
        breaker("reads"),
        breaker("writes"),
        limit,
    );
    let timed_out_read = async || {
        let sleep =
            records.read(|connection| Box::pin(sqlx::query("SELECT pg_sleep(60)").execute(connection)));
        assert!(matches!(sleep.await, Err(RecordsError::TimedOut)));
    };
    assert!(!idle_connections_are_used_again(&fixture, timed_out_read).await);
}

/// A client disconnected during a slow statement, and a task was cancelled.
#[tokio::test]
async fn a_cancelled_statement_closes_only_its_own_connection() {
    let fixture = Fixture::new().await;
    let cancelled_statement = async || {
        let mut request = fixture.database.request(None).await.unwrap();
        let sleep = sqlx::query("SELECT pg_sleep(60)").execute(request.connection().await.unwrap());
        timeout(Duration::from_millis(600), sleep).await.unwrap_err();
        drop(request);

        let pool = fixture.pool();
        let sleep = sqlx::query("SELECT pg_sleep(60)").execute(pool);
        // So long that a slow machine has begun the statement.
        timeout(Duration::from_millis(600), sleep).await.unwrap_err();
        assert_eq!((pool.size(), pool.num_idle()), (1, 0));
        eventually("the slot is free", async || pool.size() == 0).await;
    };
    assert!(idle_connections_are_used_again(&fixture, cancelled_statement).await);
}

#[tokio::test]
async fn a_shutdown_or_a_failover_closes_the_connection() {
    let (fixture, database) = fixture_with_one_connection().await;
    // 25006, as a former primary answers.
    let mut request = database.request(None).await.unwrap();
    let connection = request.connection().await.unwrap();
    let before = backend_pid(connection).await;
    sqlx::query("SET default_transaction_read_only = on")
        .execute(&mut *connection)
        .await
        .unwrap();
    let refused = sqlx::query("DELETE FROM outbox").execute(connection).await;
    let error = refused.as_ref().unwrap_err();
    assert_eq!(
        error.as_database_error().unwrap().code().as_deref(),
        Some("25006")
    );
    assert!(database::is_unavailable(error));
    request.give_back(&refused);
    let mut request = database.request(None).await.unwrap();
    let pid = backend_pid(request.connection().await.unwrap()).await;
    assert_ne!(pid, before);

    // 57P01 during a request.
    sqlx::query("SELECT pg_terminate_backend($1)")
        .bind(pid)
        .execute(fixture.pool())
        .await
        .unwrap();
    let cut = sqlx::query("SELECT 1")
        .execute(request.connection().await.unwrap())
        .await;
    assert!(database::is_unavailable(cut.as_ref().unwrap_err()));
    request.give_back(&cut);
    let mut request = database.request(None).await.unwrap();
    assert_ne!(backend_pid(request.connection().await.unwrap()).await, pid);
}

#[tokio::test]
async fn every_commit_waits_for_the_disk() {
    let fixture = Fixture::new().await;
    for pool in [
        fixture.database.relay(),
        fixture.database.background(),
        fixture.database.requests(),
    ] {
        let setting: String = sqlx::query_scalar("SHOW synchronous_commit")
            .fetch_one(pool)
            .await
            .unwrap();
        assert_eq!(setting, "on");
    }
}

/// PostgreSQL's own log lines of a request, COMMIT included, carry its trace id.
#[tokio::test]
async fn the_servers_log_names_the_request() {
    let fixture = Fixture::new().await;
    let Some(log) = local::postgres_log("the trace id in PostgreSQL's lines") else {
        return;
    };
    let trace = format!("{:032x}", std::process::id());
    let mut request = fixture.database.request(Some(&trace)).await.unwrap();
    let mut transaction = request.begin().await.unwrap();
    sqlx::query("UPDATE photo SET name = $1 WHERE id = 1")
        .bind("secret parameter")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    request.give_back(&Ok(()));
    let lines = async || {
        let text = tokio::fs::read_to_string(&log).await.unwrap();
        let mine = text
            .lines()
            .filter(|line| line.contains(&format!("irmgard {trace}")));
        mine.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    eventually("COMMIT is in the log", async || {
        lines().await.iter().any(|line| line.contains("COMMIT\""))
    })
    .await;
    let lines = lines().await;
    assert!(
        lines.iter().any(|line| line.contains("UPDATE photo SET name")),
        "{lines:#?}"
    );
    assert!(!lines.iter().any(|line| line.contains("secret parameter")));
}

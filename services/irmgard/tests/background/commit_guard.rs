//! Commits that wait for a standby, on a PostgreSQL server of their own that has none.

use std::time::Duration;

use irmgard::{
    breaker::{Breaker, BreakerSettings},
    database::{self, Database},
    photo::{Records, RecordsError},
    settings::ServeSettings,
};
use local::Stack;
use sqlx::{Connection, Executor, PgConnection};

use crate::fixture::eventually;

/// Longer than the time after which other writes do not begin.
const LIMIT: Duration = Duration::from_millis(1500);

/// Writes one row as a request does.
async fn insert_row(records: &Records) -> Result<(), RecordsError> {
    records
        .write(LIMIT, |mut connection| {
            Box::pin(async move {
                let outcome = async {
                    let mut transaction = connection.begin().await?;
                    sqlx::query("INSERT INTO project_note DEFAULT VALUES")
                        .execute(&mut *transaction)
                        .await?;
                    transaction.commit().await
                }
                .await;
                connection.give_back(&outcome);
                outcome.map_err(RecordsError::from)
            })
        })
        .await
}

/// Changes the standbys that a commit waits for.
async fn set_standbys(url: &str, statement: &'static str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    connection.execute(statement).await.unwrap();
    connection.execute("SELECT pg_reload_conf()").await.unwrap();
}

#[tokio::test]
async fn stuck_commits_leave_connections_for_reads() {
    let stack = Stack::builder().only_ours().start().await.unwrap();
    let settings = ServeSettings::from_environment(&stack.environment()).unwrap();
    let options = settings.database.connect_options();
    database::migrate(&options, None).await.unwrap();
    let url = stack.postgres().access().url();
    let mut watcher = PgConnection::connect(&url).await.unwrap();
    watcher
        .execute("CREATE TABLE project_note (id bigserial)")
        .await
        .unwrap();

    let database = Database::connect_lazily(&settings.database);
    let [reads, writes] = ["reads", "writes"].map(|name| {
        let settings = BreakerSettings {
            open_duration: Duration::from_millis(10),
            ..BreakerSettings::default()
        };
        Breaker::new(name, settings)
    });
    let records = Records::new(database.clone(), reads, writes, LIMIT);
    insert_row(&records).await.unwrap();
    set_standbys(&url, "ALTER SYSTEM SET synchronous_standby_names = 'nobody'").await;

    eventually("writes fail", async || insert_row(&records).await.is_err()).await;
    for _ in 0..40 {
        insert_row(&records).await.unwrap_err();
        let _ = records.next_id().await;
        tokio::time::sleep(Duration::from_millis(15)).await;
    }
    let work = async { Ok(()) };
    database.commit_guard().run_limited(work).await.unwrap_err();
    let waiting: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
            .fetch_one(&mut watcher)
            .await
            .unwrap();
    assert!((1..=3).contains(&waiting), "{waiting} backends wait");
    let photos = records.read(|connection| {
        Box::pin(sqlx::query_scalar::<_, i64>("SELECT count(*) FROM photo").fetch_one(connection))
    });
    assert_eq!(photos.await.unwrap(), 0);

    set_standbys(&url, "ALTER SYSTEM RESET synchronous_standby_names").await;
    eventually("writes work again", async || insert_row(&records).await.is_ok()).await;
    database
        .commit_guard()
        .run_limited(async { Ok(()) })
        .await
        .unwrap();
    database.close().await;
    stack.stop().await.unwrap();
}

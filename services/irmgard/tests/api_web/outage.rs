//! Outages of PostgreSQL and the object store: unavailable, stalled, or lost at the worst time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use test_support::{Behaviour, FaultProxy};

use super::{
    fixture::{Answer, Overrides, WebFixture, eventually, raw_upload_head},
    test_images::jpeg,
};

const PHOTOS: &str = "/projects/site-1/photos";

struct OutageFixture {
    web: WebFixture,
    postgres: FaultProxy,
    store: FaultProxy,
}

async fn outage() -> OutageFixture {
    outage_with(|_| {}).await
}

async fn outage_with(set_overrides: impl FnOnce(&mut Overrides<'_>)) -> OutageFixture {
    let scratch_free = local::PostgresAccess::from_environment()
        .unwrap()
        .expect("a stack: run `make test`");
    let postgres = FaultProxy::start(&format!("{}:{}", scratch_free.host, scratch_free.port)).unwrap();
    let store = local::ObjectStoreAccess::from_environment().unwrap().unwrap();
    let store = FaultProxy::start(&store.endpoint).unwrap();
    let web = WebFixture::start_with_defaults(|mut overrides| {
        overrides.settings.database.host = postgres.address().ip().to_string();
        overrides.settings.database.port = postgres.address().port();
        overrides.settings.store.endpoint = store.url();
        set_overrides(&mut overrides);
    })
    .await;
    OutageFixture { web, postgres, store }
}

/// Sends a photo and expects 503 with `Retry-After`; returns the duration.
async fn expect_unavailable(web: &WebFixture, code: &str, photo: Vec<u8>) -> Duration {
    let started = Instant::now();
    let answer = web.post(PHOTOS, photo).await;
    let duration = started.elapsed();
    answer.expect_problem(503, code);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=5).contains(&seconds));
    duration
}

async fn wait_until_uploads_work(web: &WebFixture) {
    eventually("uploads work again", async || {
        web.post(PHOTOS, jpeg(64, 48, 900, 99)).await.status == 202
    })
    .await;
}

async fn expect_503_in_time(code: &str, behaviour: Behaviour, which: fn(&OutageFixture) -> &FaultProxy) {
    let outage = outage().await;
    let web = &outage.web;
    // Idle connections are in the pools.
    assert_eq!(web.post(PHOTOS, jpeg(64, 48, 900, 1)).await.status, 202);
    which(&outage).behave(behaviour).await;

    let mut slow = 0;
    for seed in 0..8 {
        let duration = expect_unavailable(web, code, jpeg(64, 48, 100_000, 10 + seed)).await;
        assert!(duration < Duration::from_secs(2), "{duration:?}");
        slow += u32::from(duration > Duration::from_millis(100));
    }
    assert!(
        web.metrics()
            .lines()
            .any(|line| line.starts_with("irmgard_breaker_open") && line.ends_with(" 1"))
    );
    // Three failures open the breaker; later some requests probe.
    assert!(slow <= 5, "{slow} of 8 took longer than 100 ms");

    which(&outage).behave(Behaviour::Pass).await;
    wait_until_uploads_work(web).await;
    assert_eq!(web.count("photo").await, 2);
    web.wait_for_originals(2).await;
}

#[tokio::test]
async fn a_stalled_database_is_503_in_time() {
    expect_503_in_time("database-unavailable", Behaviour::Stall, |outage| {
        &outage.postgres
    })
    .await;
}

#[tokio::test]
async fn a_cut_database_is_503_in_time() {
    expect_503_in_time("database-unavailable", Behaviour::Refuse, |outage| {
        &outage.postgres
    })
    .await;
}

#[tokio::test]
async fn a_stalled_store_is_503_in_time() {
    expect_503_in_time("store-unavailable", Behaviour::Stall, |outage| &outage.store).await;
}

#[tokio::test]
async fn a_cut_store_is_503_in_time() {
    expect_503_in_time("store-unavailable", Behaviour::Refuse, |outage| &outage.store).await;
}

#[tokio::test]
async fn a_store_that_stalls_in_the_middle_of_a_photo_is_503_in_time() {
    let outage = outage().await;
    let web = &outage.web;
    let photo = jpeg(4000, 3000, 30_000_000, 1);
    let upload = async |chunked: bool| {
        if chunked {
            web.post_chunked(PHOTOS, photo.clone()).await
        } else {
            web.post(PHOTOS, photo.clone()).await
        }
    };
    for chunked in [false, true] {
        let stall = async {
            eventually("the upload has begun", async || web.tasks.len() == 1).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            outage.store.behave(Behaviour::Stall).await;
            Instant::now()
        };
        let (answer, stalled): (Answer, Instant) = tokio::join!(upload(chunked), stall);
        if answer.status != 202 {
            answer.expect_problem(503, "store-unavailable");
            assert!(
                stalled.elapsed() < Duration::from_millis(2500),
                "{:?}",
                stalled.elapsed()
            );
        }
        outage.store.behave(Behaviour::Pass).await;
        wait_until_uploads_work(web).await;
    }
    let kept = usize::try_from(web.count("photo").await).unwrap();
    web.wait_for_originals(kept).await;
}

#[tokio::test]
async fn reads_are_503_too_while_the_database_is_unavailable() {
    let outage = outage().await;
    outage.postgres.behave(Behaviour::Refuse).await;
    for path in ["/", "/projects", PHOTOS, "/photos/1", "/photos/1/image"] {
        outage
            .web
            .get(path)
            .await
            .expect_problem(503, "database-unavailable");
    }
}

#[tokio::test]
async fn a_connection_lost_in_commit_keeps_the_original() {
    let outage = outage().await;
    let web = &outage.web;
    outage.postgres.behave(Behaviour::CutAfter(b"COMMIT\0")).await;
    // `begin` ends its own transaction with `COMMIT;` in the middle, which does not match.
    expect_unavailable(web, "database-unavailable", jpeg(64, 48, 900, 1)).await;
    outage.postgres.behave(Behaviour::Pass).await;
    eventually("the transaction has ended", async || {
        web.count("photo").await == 1
    })
    .await;
    assert_eq!(web.count("outbox").await, 1);
    web.wait_for_originals(1).await;
}

#[tokio::test]
async fn a_connection_lost_before_commit_leaves_nothing() {
    let outage = outage().await;
    outage
        .postgres
        .behave(Behaviour::CutAfter(b"INSERT INTO photo"))
        .await;
    expect_unavailable(&outage.web, "database-unavailable", jpeg(64, 48, 900, 1)).await;
    outage.postgres.behave(Behaviour::Pass).await;
    outage.web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_certain_rollback_removes_the_original() {
    let web = WebFixture::start().await;
    web.execute("ALTER TABLE photo ADD CONSTRAINT no_more CHECK (project <> 'site-1')")
        .await;
    web.post(PHOTOS, jpeg(64, 48, 900, 1))
        .await
        .expect_problem(500, "internal");
    // A failure at the very end is a rollback, too.
    web.execute(
        "ALTER TABLE photo DROP CONSTRAINT no_more; \
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'; \
         CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON photo DEFERRABLE INITIALLY DEFERRED \
           FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    .await;
    web.post(PHOTOS, jpeg(64, 48, 900, 2))
        .await
        .expect_problem(500, "internal");
    web.expect_nothing_left().await;
    web.execute("DROP TRIGGER refuse ON photo").await;
    assert_eq!(web.post(PHOTOS, jpeg(64, 48, 900, 3)).await.status, 202);
}

#[tokio::test]
async fn connections_closed_by_the_server_are_replaced_without_errors() {
    let web = WebFixture::start().await;
    let uploads = (0..8).map(|seed| web.post(PHOTOS, jpeg(64, 48, 900, seed)));
    for answer in futures::future::join_all(uploads).await {
        assert_eq!(answer.status, 202);
    }
    // Sends 57P01 to every idle connection.
    web.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    let uploads = (0..8).map(|seed| web.post(PHOTOS, jpeg(64, 48, 900, 20 + seed)));
    for answer in futures::future::join_all(uploads).await {
        assert_eq!(answer.status, 202);
    }
}

#[tokio::test]
async fn a_database_that_became_read_only_is_503_and_its_connections_are_not_kept() {
    let web = WebFixture::start().await;
    assert_eq!(web.post(PHOTOS, jpeg(64, 48, 900, 1)).await.status, 202);
    let alter = |value: &str| {
        format!(
            "ALTER DATABASE \"{}\" SET default_transaction_read_only = {value}",
            web.settings.database.database
        )
    };
    let terminate = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                     WHERE datname = current_database() AND pid <> pg_backend_pid()";
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter("on")))
        .execute(&web.pool)
        .await
        .unwrap();
    web.execute(terminate).await;
    expect_unavailable(&web, "database-unavailable", jpeg(64, 48, 900, 2)).await;
    let mut writable = web.pool.acquire().await.unwrap();
    sqlx::raw_sql("SET default_transaction_read_only = off")
        .execute(&mut *writable)
        .await
        .unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter("off")))
        .execute(&mut *writable)
        .await
        .unwrap();
    // This time irmgard itself must replace the read-only connections.
    wait_until_uploads_work(&web).await;
    web.wait_for_originals(2).await;
}

#[tokio::test]
async fn requests_that_wait_for_their_camera_are_refused_at_once_while_the_breaker_is_open() {
    let outage = outage().await;
    let web = &outage.web;
    outage.postgres.behave(Behaviour::Refuse).await;
    for seed in 0..3 {
        expect_unavailable(web, "database-unavailable", jpeg(64, 48, 900, seed)).await;
    }
    // Its body has not begun to arrive.
    let started = Instant::now();
    let answer = web
        .raw(&raw_upload_head(PHOTOS, "Content-Length: 60000\r\n"))
        .await;
    answer.expect_problem(503, "database-unavailable");
    assert!(
        started.elapsed() < Duration::from_millis(100),
        "{:?}",
        started.elapsed()
    );
}

/// Time limit for uploads to work again when old connections are silent for ever and new ones work. On an
/// idle machine it takes less than half of this; the kernel would need 15 minutes.
const RECOVERY_LIMIT: Duration = Duration::from_secs(20);

/// Waits until several uploads at once are accepted. One of them may be the one that detects dead connections.
async fn expect_uploads_accepted_soon(web: &WebFixture, when: &str) {
    let taken = async {
        loop {
            let posts = (0..8).map(|seed| web.post(PHOTOS, jpeg(64, 48, 900, seed)));
            let answers = futures::future::join_all(posts).await;
            if answers.iter().all(|answer| answer.status == 202) {
                break;
            }
        }
    };
    tokio::time::timeout(RECOVERY_LIMIT, taken)
        .await
        .unwrap_or_else(|_| panic!("not within {RECOVERY_LIMIT:?}: uploads are taken {when}"));
    assert_eq!(web.get("/projects").await.status, 200, "{when}");
}

async fn silent_connections_block_nothing(code: &str, which: fn(&OutageFixture) -> &FaultProxy) {
    let outage = outage().await;
    let (web, proxy) = (&outage.web, which(&outage));
    for round in 0..2 {
        expect_uploads_accepted_soon(web, "in the beginning").await;
        proxy.strand().await;
        expect_uploads_accepted_soon(
            web,
            &format!("after idle connections became silent, round {round}"),
        )
        .await;

        proxy.behave(Behaviour::Stall).await;
        let posts = (0..4).map(|seed| web.post(PHOTOS, jpeg(64, 48, 100_000, seed)));
        for answer in futures::future::join_all(posts).await {
            answer.expect_problem(503, code);
        }
        proxy.strand().await;
        expect_uploads_accepted_soon(
            web,
            &format!("after connections in use became silent, round {round}"),
        )
        .await;
    }
}

#[tokio::test]
async fn silent_connections_to_the_database_block_nothing() {
    silent_connections_block_nothing("database-unavailable", |outage| &outage.postgres).await;
}

#[tokio::test]
async fn silent_connections_to_the_store_block_nothing() {
    silent_connections_block_nothing("store-unavailable", |outage| &outage.store).await;
}

/// sqlx tests a connection once more when it returns to the pool.
#[tokio::test]
async fn a_connection_that_becomes_silent_while_it_returns_frees_its_slot() {
    for last in [&b"RESET application_name"[..], b"nextval"] {
        let outage = outage_with(|overrides| overrides.settings.database.request_connections = 1).await;
        outage.postgres.behave(Behaviour::SilentAfter(last)).await;
        let answer = outage.web.post(PHOTOS, jpeg(64, 48, 900, 1)).await;
        assert!(matches!(answer.status, 202 | 503), "{answer:?}");
        outage.postgres.restore().await;
        expect_uploads_accepted_soon(&outage.web, &format!("after {}", String::from_utf8_lossy(last))).await;
    }
}

/// Blocks inserts until the transaction ends; reads and ids work. This is like a commit that waits for a
/// missing standby.
async fn block_writes(web: &WebFixture) -> sqlx::Transaction<'static, sqlx::Postgres> {
    let mut lock = web.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE photo IN SHARE ROW EXCLUSIVE MODE")
        .execute(&mut *lock)
        .await
        .unwrap();
    lock
}

#[tokio::test]
async fn a_drawn_id_does_not_close_the_breaker_of_writes() {
    let web = WebFixture::start_with_defaults(|_| {}).await;
    let lock = block_writes(&web).await;
    // One request after the other; each draws an id first.
    let mut slow = 0;
    for seed in 0..8 {
        let duration = expect_unavailable(&web, "database-unavailable", jpeg(64, 48, 900, seed)).await;
        slow += u32::from(duration > Duration::from_millis(100));
    }
    assert!(slow <= 5, "{slow} of 8 waited for the timeout");
    lock.rollback().await.unwrap();
    wait_until_uploads_work(&web).await;
}

#[tokio::test]
async fn reads_work_while_writes_are_blocked() {
    let web = WebFixture::start_with_defaults(|_| {}).await;
    let id = web.post(PHOTOS, jpeg(64, 48, 900, 1)).await.id();
    let photo = format!("/photos/{id}");
    let lock = block_writes(&web).await;

    let enough_read = AtomicBool::new(false);
    let cameras = async {
        // First more requests than connections, then one after the other.
        let posts = (0..40).map(|seed| web.post(PHOTOS, jpeg(64, 48, 900, 10 + seed)));
        for post in futures::future::join_all(posts).await {
            post.expect_problem(503, "database-unavailable");
        }
        while !enough_read.load(Ordering::Relaxed) {
            expect_unavailable(&web, "database-unavailable", jpeg(64, 48, 900, 60)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let read = async || {
        let answer = web.get(&photo).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let reads = async {
        eventually("writes wait", async || {
            read().await;
            let waiting: i64 = sqlx::query_scalar(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
            )
            .fetch_one(&web.pool)
            .await
            .unwrap();
            waiting > 0
        })
        .await;
        for _ in 0..20 {
            read().await;
        }
        eventually("the breaker of writes opens", async || {
            read().await;
            web.metrics()
                .contains(r#"irmgard_breaker_open{server="postgres-writes"} 1"#)
        })
        .await;
        for _ in 0..20 {
            read().await;
        }
        enough_read.store(true, Ordering::Relaxed);
    };
    tokio::join!(cameras, reads);
    lock.rollback().await.unwrap();
    wait_until_uploads_work(&web).await;
}

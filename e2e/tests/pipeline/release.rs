//! The next releases on a real PostgreSQL: their migrations, the backfill, and uploads to programs of all releases.

use std::fs;

use e2e::{
    photos,
    pipeline::{Pipeline, Setup, TestServers, migrate},
};
use sqlx::{AssertSqlSafe, Executor};

/// The index of the irmgard process of each release.
const CURRENT: usize = 0;
const EXPANDED: usize = 1;
const CONTRACTED: usize = 2;

/// Uploads a photo to one process. Returns the status.
async fn upload(pipeline: &Pipeline, irmgard: usize) -> u16 {
    let camera = pipeline.camera();
    let shot = camera.shoot(&photos::cutouts().unwrap());
    let (address, project, taken_at) = (
        pipeline.irmgards[irmgard].address(),
        &shot.project,
        shot.taken_at(),
    );
    let request = camera
        .client()
        .post(format!(
            "http://{address}/projects/{project}/photos?taken_at={taken_at}"
        ))
        .header("content-type", "image/jpeg")
        .body(shot.file.clone());
    request.send().await.unwrap().status().as_u16()
}

async fn migrate_to(pipeline: &Pipeline, release: &str) -> anyhow::Result<()> {
    let mut environment = pipeline.servers.environment();
    environment.insert("NEXT_RELEASE".to_owned(), release.to_owned());
    migrate(&environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn expand_backfill_and_contract() {
    let setup = Setup {
        irmgards: 3,
        workers: 0,
        ..Setup::default()
    };
    let servers = TestServers::scratch().await.unwrap();
    let mut pipeline = Pipeline::prepare(servers, setup).await.unwrap();
    pipeline.irmgards[EXPANDED].set("NEXT_RELEASE", "expand");
    pipeline.irmgards[CONTRACTED].set("NEXT_RELEASE", "contract");
    pipeline.irmgards[CURRENT].start().await.unwrap();

    migrate_to(&pipeline, "expand").await.unwrap();
    pipeline.irmgards[EXPANDED].start().await.unwrap();
    assert_eq!(
        upload(&pipeline, CURRENT).await,
        202,
        "the previous version no longer works"
    );
    assert_eq!(upload(&pipeline, EXPANDED).await, 202);

    // The migration fails without changes while a row has no value.
    let error = migrate_to(&pipeline, "contract").await.unwrap_err();
    assert!(
        format!("{error:?}").contains("run the backfill first"),
        "{error:?}"
    );
    assert_eq!(
        upload(&pipeline, CURRENT).await,
        202,
        "the failed migration left a constraint"
    );

    // Without the line that sets the cluster's role.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/release/backfill.sql");
    let backfill = fs::read_to_string(path).unwrap();
    let (role, backfill) = backfill.split_once("SET ROLE irmgard_migrate;").unwrap();
    assert!(role.lines().all(|line| line.starts_with("--")));
    pipeline
        .database
        .execute(AssertSqlSafe(backfill.to_owned()))
        .await
        .unwrap();
    let values: Vec<String> = sqlx::query_scalar("select received_by from photo order by received_at")
        .fetch_all(&pipeline.database)
        .await
        .unwrap();
    assert_eq!([&values[0], &values[2]], ["unknown"; 2]);
    assert_ne!(values[1], "unknown", "existing values must not change");

    migrate_to(&pipeline, "contract").await.unwrap();
    let constraints: i64 =
        sqlx::query_scalar("select count(*) from pg_constraint where conname = 'photo_received_by'")
            .fetch_one(&pipeline.database)
            .await
            .unwrap();
    assert_eq!(constraints, 0);
    pipeline.irmgards[CONTRACTED].start().await.unwrap();
    assert_eq!(
        upload(&pipeline, EXPANDED).await,
        202,
        "the previous version no longer works"
    );
    assert_eq!(upload(&pipeline, CONTRACTED).await, 202);
    let status = upload(&pipeline, CURRENT).await;
    let log = pipeline.irmgards[CURRENT].log();
    assert!(
        status >= 500 && log.contains(r#"null value in column \"received_by\""#),
        "{status}\n{log}"
    );
}

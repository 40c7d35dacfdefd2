//! Tests the migrations and statements of the future releases of the case `release` on a real PostgreSQL.

use std::{fs, path::Path};

use e2e::release::{CONTRACTED, EXPANDED, Release};
use irmgard::settings::ServeSettings;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, migrate::Migrator};
use tempfile::TempDir;

const MIGRATIONS: &str = "services/irmgard/migrations";
const INSERT: &str = "services/irmgard/src/photo/insert.rs";

fn project_root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn patched_copy(release: Release) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join(MIGRATIONS)).unwrap();
    for entry in fs::read_dir(project_root().join(MIGRATIONS)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(
            &path,
            tree.path().join(MIGRATIONS).join(path.file_name().unwrap()),
        )
        .unwrap();
    }
    let target = tree.path().join(INSERT);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(project_root().join(INSERT), &target).unwrap();
    release.patch(&project_root(), tree.path()).unwrap();
    tree
}

async fn migrate(tree: &Path, connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    let migrator = Migrator::new(tree.join(MIGRATIONS)).await.unwrap();
    migrator.run_direct(None, connection, false).await
}

/// The insert statement of a release.
fn insert_statement(tree: &Path) -> String {
    let text = fs::read_to_string(tree.join(INSERT)).unwrap();
    let begin = text.find("WITH new AS").unwrap();
    let end = begin + text[begin..].find("\",").unwrap();
    text[begin..end].replace("\\\n", "\n")
}

/// Inserts a photo with a release's statement.
async fn insert_photo(tree: &Path, connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(insert_statement(tree)))
        .bind(id)
        .bind("site")
        .bind("photo.jpg")
        .bind(chrono::Utc::now())
        .bind(chrono::Utc::now())
        .bind("client")
        .bind("image/jpeg")
        .bind(1_i64)
        .bind(1_i32)
        .bind(1_i32)
        .bind(vec![0_u8; 32])
        .bind("s3://input/photo")
        .bind(None::<String>)
        .bind(None::<String>)
        .bind("")
        .bind(None::<String>)
        .fetch_one(connection)
        .await
        .map(drop)
}

#[tokio::test]
async fn expand_backfill_and_contract() {
    let scratch = local::scratch().await.unwrap();
    let settings = ServeSettings::from_environment(&scratch.environment()).unwrap();
    let mut connection = PgConnection::connect_with(&settings.database.connect_options())
        .await
        .unwrap();
    let (expanded, contracted) = (patched_copy(EXPANDED), patched_copy(CONTRACTED));
    let current = project_root();

    migrate(expanded.path(), &mut connection).await.unwrap();
    insert_photo(&current, &mut connection, 1)
        .await
        .expect("the previous version no longer works");
    insert_photo(expanded.path(), &mut connection, 2).await.unwrap();

    // The migration fails without changes while a row has no value.
    let error = migrate(contracted.path(), &mut connection).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("run the backfill first"),
        "{error:?}"
    );
    insert_photo(&current, &mut connection, 3)
        .await
        .expect("the failed migration left a constraint");

    // Without the line that sets the cluster's role.
    let backfill = fs::read_to_string(project_root().join("e2e/release/backfill.sql")).unwrap();
    let (role, backfill) = backfill.split_once("SET ROLE irmgard_migrate;").unwrap();
    assert!(role.lines().all(|line| line.starts_with("--")));
    connection
        .execute(AssertSqlSafe(backfill.to_owned()))
        .await
        .unwrap();
    let values: Vec<String> = sqlx::query_scalar("select received_by from photo order by id")
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert_eq!([&values[0], &values[2]], ["unknown"; 2]);
    assert_ne!(values[1], "unknown", "existing values must not change");

    migrate(contracted.path(), &mut connection).await.unwrap();
    let constraints: i64 =
        sqlx::query_scalar("select count(*) from pg_constraint where conname = 'photo_received_by'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(constraints, 0);
    insert_photo(expanded.path(), &mut connection, 4)
        .await
        .expect("the previous version no longer works");
    insert_photo(contracted.path(), &mut connection, 5).await.unwrap();
    let error = insert_photo(&current, &mut connection, 6).await.unwrap_err();
    assert!(error.to_string().contains("received_by"), "{error}");
}

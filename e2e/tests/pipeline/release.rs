//! The migrations and the statements of the releases that the case `release` makes, on a real PostgreSQL.

use std::{fs, path::Path};

use e2e::release::{CONTRACTED, EXPANDED, Release};
use irmgard::settings::ServeSettings;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, migrate::Migrator};
use tempfile::TempDir;

const MIGRATIONS: &str = "services/irmgard/migrations";
const INSERT: &str = "services/irmgard/src/photo/insert.rs";

fn project() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn patched(release: Release) -> TempDir {
    let tree = tempfile::tempdir().unwrap();
    fs::create_dir_all(tree.path().join(MIGRATIONS)).unwrap();
    for entry in fs::read_dir(project().join(MIGRATIONS)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(
            &path,
            tree.path().join(MIGRATIONS).join(path.file_name().unwrap()),
        )
        .unwrap();
    }
    let target = tree.path().join(INSERT);
    fs::create_dir_all(target.parent().unwrap()).unwrap();
    fs::copy(project().join(INSERT), &target).unwrap();
    release.patch(&project(), tree.path()).unwrap();
    tree
}

async fn migrate(tree: &Path, connection: &mut PgConnection) -> Result<(), sqlx::migrate::MigrateError> {
    let migrator = Migrator::new(tree.join(MIGRATIONS)).await.unwrap();
    migrator.run_direct(None, connection, false).await
}

/// The statement that a program writes a photo with.
fn insert(tree: &Path) -> String {
    let text = fs::read_to_string(tree.join(INSERT)).unwrap();
    let begin = text.find("WITH new AS").unwrap();
    let end = begin + text[begin..].find("\",").unwrap();
    text[begin..end].replace("\\\n", "\n")
}

/// Writes a photo as a program does.
async fn photo(tree: &Path, connection: &mut PgConnection, id: i64) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(insert(tree)))
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
async fn expand_fill_and_contract() {
    let scratch = local::scratch().await.unwrap();
    let settings = ServeSettings::from_environment(&scratch.environment()).unwrap();
    let mut connection = PgConnection::connect_with(&settings.database.connect_options())
        .await
        .unwrap();
    let (expanded, contracted) = (patched(EXPANDED), patched(CONTRACTED));
    let present = project();

    migrate(expanded.path(), &mut connection).await.unwrap();
    photo(&present, &mut connection, 1)
        .await
        .expect("the version before serves on");
    photo(expanded.path(), &mut connection, 2).await.unwrap();

    // Nothing is changed while a row has no value.
    let error = migrate(contracted.path(), &mut connection).await.unwrap_err();
    assert!(
        format!("{error:?}").contains("run the backfill first"),
        "{error:?}"
    );
    photo(&present, &mut connection, 3)
        .await
        .expect("no constraint was left behind");

    // As psql does: one statement at a time. The role is the cluster's.
    let backfill = fs::read_to_string(project().join("e2e/release/backfill.sql")).unwrap();
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
    assert_ne!(values[1], "unknown", "who is known stays");

    migrate(contracted.path(), &mut connection).await.unwrap();
    let left: i64 =
        sqlx::query_scalar("select count(*) from pg_constraint where conname = 'photo_received_by'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(left, 0);
    photo(expanded.path(), &mut connection, 4)
        .await
        .expect("the version before serves on");
    photo(contracted.path(), &mut connection, 5).await.unwrap();
    let error = photo(&present, &mut connection, 6).await.unwrap_err();
    assert!(error.to_string().contains("received_by"), "{error}");
}

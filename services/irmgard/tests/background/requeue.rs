//! A photo that is queued again is as new.

use contract::FailureReason;
use irmgard::outbox::{requeue_failed, requeue_photos};
use sqlx::AssertSqlSafe;

use crate::fixture::Fixture;

/// Nullable columns of `photo` that keep their value: an upload sets them.
const SET_BY_UPLOAD: [&str; 3] = ["original", "uploaded_by", "traceparent"];

/// Nullable columns of `photo` that keep their value: they are set with `anonymized`, which is final.
const SET_WITH_ANONYMIZED: [&str; 6] = [
    "output",
    "output_size_bytes",
    "output_width",
    "output_height",
    "detections",
    "processing_seconds",
];

/// The other nullable columns, each with a value of its type.
async fn columns_to_clear(fixture: &Fixture) -> Vec<(String, &'static str)> {
    let nullable: Vec<(String, String)> = sqlx::query_as(
        "SELECT column_name::text, data_type::text FROM information_schema.columns
          WHERE table_schema = current_schema() AND table_name = 'photo' AND is_nullable = 'YES'",
    )
    .fetch_all(fixture.pool())
    .await
    .unwrap();
    nullable
        .into_iter()
        .filter(|(name, _)| {
            ![&SET_BY_UPLOAD[..], &SET_WITH_ANONYMIZED]
                .concat()
                .contains(&name.as_str())
        })
        .map(|(name, data_type)| {
            let value = match data_type.as_str() {
                "boolean" => "true",
                name if name.starts_with("timestamp") => "2026-01-02",
                _ => "1",
            };
            (name, value)
        })
        .collect()
}

/// A new column is either cleared or in one of the lists above.
#[tokio::test]
async fn queueing_again_clears_what_an_earlier_attempt_has_set() {
    let fixture = Fixture::new().await;
    let columns = columns_to_clear(&fixture).await;
    assert!(columns.len() >= 4, "{columns:?}");
    let mut connection = fixture.pool().acquire().await.unwrap();
    for by_camera in [false, true] {
        let id = fixture.insert_failed(FailureReason::ProcessingError).await;
        for (column, value) in &columns {
            let set = format!("UPDATE photo SET {column} = '{value}' WHERE id = $1");
            sqlx::query(AssertSqlSafe(set))
                .bind(id.get())
                .execute(&mut *connection)
                .await
                .unwrap();
        }
        if by_camera {
            assert!(requeue_failed(&mut connection, id, None).await.unwrap());
        } else {
            let requeued = requeue_photos(&mut connection, &[id.get()]).await.unwrap();
            assert_eq!(requeued, [id.get()]);
        }
        for (column, _) in &columns {
            let is_set = format!("SELECT {column} IS NOT NULL FROM photo WHERE id = $1");
            let is_set: bool = sqlx::query_scalar(AssertSqlSafe(is_set))
                .bind(id.get())
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert!(
                !is_set,
                "{column} keeps its value: clear it in outbox/requeue.rs, or list it in this test (by camera: {by_camera})"
            );
        }
    }
}

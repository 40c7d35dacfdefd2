//! The watermark: how many photos the database had when it was last checked.
//!
//! A restored database gives out ids and gets new rows, which soon hide missing rows. Photo rows are never
//! deleted, so the number of rows up to an id never falls. If it falls, rows are lost.

use serde::{Deserialize, Serialize};

use crate::database::Pool;

/// Number of rows that one statement counts; statements have a time limit.
const ROWS_AT_ONCE: i64 = 1_000_000;

/// Number of photos in the database at some time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Watermark {
    /// The highest id of a photo; 0 if there was none.
    highest_id: i64,
    /// Number of rows up to this id.
    rows: i64,
}

impl Watermark {
    /// The current watermark of the database.
    pub(super) async fn read(pool: &Pool) -> Result<Self, sqlx::Error> {
        let highest_id = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM photo")
            .fetch_one(pool)
            .await?;
        Ok(Self {
            highest_id,
            rows: rows_up_to(pool, highest_id).await?,
        })
    }

    /// Why the database must have lost rows since this watermark.
    pub(super) async fn contradiction(self, pool: &Pool) -> Result<Option<String>, sqlx::Error> {
        let rows = rows_up_to(pool, self.highest_id).await?;
        Ok((rows < self.rows).then(|| {
            format!(
                "rows are missing: {rows} of {} photos up to id {} remain",
                self.rows, self.highest_id
            )
        }))
    }
}

async fn rows_up_to(pool: &Pool, id: i64) -> Result<i64, sqlx::Error> {
    let (mut count, mut last) = (0, 0);
    loop {
        let (rows, highest): (i64, Option<i64>) = sqlx::query_as(
            "SELECT count(*), max(id)
               FROM (SELECT id FROM photo WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3) AS part",
        )
        .bind(last)
        .bind(id)
        .bind(ROWS_AT_ONCE)
        .fetch_one(pool)
        .await?;
        count += rows;
        match highest {
            Some(highest) if rows == ROWS_AT_ONCE => last = highest,
            _ => return Ok(count),
        }
    }
}

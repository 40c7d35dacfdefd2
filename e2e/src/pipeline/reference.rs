//! What the small photos look like when nothing disturbs the work.

use anyhow::{Context, Result, ensure};
use contract::{Detection, ObjectLocation};
use tokio::sync::OnceCell;

use super::{PATIENCE, Pipeline, Setup};
use crate::{
    photos::{self, Base},
    picture::Picture,
};

/// A small photo and what becomes of it.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The anonymised JPEG.
    pub output: Vec<u8>,
    /// What was found.
    pub detections: Vec<Detection>,
}

/// The small photos, and what became of them in a pipeline that nothing
/// disturbed; made once per test program, and checked closely: later outputs
/// are compared with these byte by byte.
///
/// # Errors
/// When something was found in none, or is still to be seen in one.
pub async fn references() -> Result<(&'static [Base], &'static [Reference])> {
    static MADE: OnceCell<(Vec<Base>, Vec<Reference>)> = OnceCell::const_new();
    let (bases, references) = MADE.get_or_try_init(make).await?;
    Ok((bases, references))
}

async fn make() -> Result<(Vec<Base>, Vec<Reference>)> {
    let bases = photos::small()?;
    let pipeline = Pipeline::start(Setup::default()).await?;
    let camera = pipeline.camera();
    let mut references = Vec::new();
    for _ in &bases {
        let shot = camera.shoot(&bases);
        camera.deliver(&shot, PATIENCE).await?;
    }
    pipeline.settled(PATIENCE).await?;
    for (answered, base) in pipeline.ledger().all().values().zip(&bases) {
        let (output, detections): (Option<String>, Option<sqlx::types::Json<Vec<Detection>>>) =
            sqlx::query_as("select output, detections from photo where id = $1")
                .bind(answered.id)
                .fetch_one(&pipeline.database)
                .await?;
        let location: ObjectLocation = output
            .with_context(|| format!("no output of {}", base.name))?
            .parse()?;
        let output = pipeline.store.get(&location, 64 << 20).await?;
        let detections = detections.context("no detections")?.0;
        ensure!(!detections.is_empty(), "nothing was found in {}", base.name);
        let picture = Picture::decode(&output)?;
        let seen = picture.unobscured(&Picture::decode(&base.file)?, &detections);
        ensure!(seen.is_empty(), "still to be seen in {}: {seen:?}", base.name);
        references.push(Reference { output, detections });
    }
    Ok((bases, references))
}

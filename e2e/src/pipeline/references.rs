//! Reference outputs: the cut-outs as an undisturbed pipeline anonymises them.

use anyhow::{Context, Result, ensure};
use contract::{Detection, ObjectLocation};
use tokio::sync::OnceCell;

use super::{Pipeline, Setup, TIME_LIMIT};
use crate::{
    photos::{self, BasePhoto},
    picture::Picture,
};

/// The result for a cut-out.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The anonymised JPEG.
    pub output: Vec<u8>,
    pub detections: Vec<Detection>,
}

/// The cut-outs and their reference outputs from an undisturbed pipeline. They are computed once per test program and checked
/// closely, because tests compare later outputs with them byte by byte.
pub async fn references() -> Result<(&'static [BasePhoto], &'static [Reference])> {
    static REFERENCES: OnceCell<(Vec<BasePhoto>, Vec<Reference>)> = OnceCell::const_new();
    let (bases, references) = REFERENCES.get_or_try_init(compute).await?;
    Ok((bases, references))
}

async fn compute() -> Result<(Vec<BasePhoto>, Vec<Reference>)> {
    let bases = photos::cutouts()?;
    let pipeline = Pipeline::start(Setup::default()).await?;
    let camera = pipeline.camera();
    let mut references = Vec::new();
    for _ in &bases {
        let shot = camera.shoot(&bases);
        camera.deliver(&shot, TIME_LIMIT).await?;
    }
    pipeline.wait_until_idle(TIME_LIMIT).await?;
    for (accepted, base) in pipeline.ledger().accepted().values().zip(&bases) {
        let (output, detections): (Option<String>, Option<sqlx::types::Json<Vec<Detection>>>) =
            sqlx::query_as("select output, detections from photo where id = $1")
                .bind(accepted.id)
                .fetch_one(&pipeline.database)
                .await?;
        let location: ObjectLocation = output
            .with_context(|| format!("{} has no output", base.name))?
            .parse()?;
        let output = pipeline.store.get(&location, 64 << 20).await?;
        let detections = detections.context("no detections")?.0;
        ensure!(!detections.is_empty(), "no detections in {}", base.name);
        let picture = Picture::decode(&output)?;
        let visible = picture.unobscured(&Picture::decode(&base.file)?, &detections);
        ensure!(visible.is_empty(), "not obscured in {}: {visible:?}", base.name);
        references.push(Reference { output, detections });
    }
    Ok((bases, references))
}

//! Collects verdicts for one transaction.

use std::collections::BTreeMap;

use contract::{FailureReason, PhotoResult, Verdict};
use sqlx::types::Json;

/// Columns of the anonymised photos of a batch, one entry per photo.
#[derive(Debug, Default)]
pub(super) struct AnonymizedColumns {
    pub(super) ids: Vec<i64>,
    pub(super) outputs: Vec<String>,
    pub(super) sizes: Vec<i64>,
    pub(super) widths: Vec<i32>,
    pub(super) heights: Vec<i32>,
    pub(super) detections: Vec<Option<Json<Vec<contract::Detection>>>>,
    pub(super) seconds: Vec<Option<f64>>,
}

/// Columns of the failed photos of a batch, one entry per photo.
#[derive(Debug, Default)]
pub(super) struct FailedColumns {
    pub(super) ids: Vec<i64>,
    pub(super) reasons: Vec<&'static str>,
    pub(super) details: Vec<String>,
}

/// The verdicts of a batch as columns, at most one per photo.
#[derive(Debug, Default)]
pub(super) struct BatchColumns {
    pub(super) anonymized: AnonymizedColumns,
    pub(super) failed: FailedColumns,
}

impl BatchColumns {
    pub(super) fn from_results<'v>(results: impl IntoIterator<Item = &'v PhotoResult>) -> Self {
        let mut columns = Self::default();
        for result in select_strongest(results) {
            match &result.verdict {
                Verdict::Anonymized {
                    output,
                    size_bytes,
                    width,
                    height,
                    detections,
                    seconds,
                } => {
                    let rows = &mut columns.anonymized;
                    rows.ids.push(result.id.get());
                    rows.outputs.push(output.to_string());
                    rows.sizes.push(i64::try_from(*size_bytes).unwrap_or(i64::MAX));
                    rows.widths.push(i32::try_from(*width).unwrap_or(i32::MAX));
                    rows.heights.push(i32::try_from(*height).unwrap_or(i32::MAX));
                    rows.detections.push(detections.clone().map(Json));
                    rows.seconds.push(*seconds);
                }
                Verdict::Failed { reason, detail } => {
                    columns.failed.push(result.id.get(), *reason, detail);
                }
            }
        }
        columns
    }
}

impl FailedColumns {
    fn push(&mut self, id: i64, reason: FailureReason, detail: &str) {
        self.ids.push(id);
        self.reasons.push(reason.code());
        // PostgreSQL's `text` cannot hold NUL.
        self.details.push(detail.replace('\0', "\u{fffd}"));
    }
}

/// Selects one verdict per photo, ordered by id, so that concurrent batches lock rows in the same order.
/// `anonymized` wins over `failed`, and `anonymized` with detections over that without.
fn select_strongest<'v>(
    results: impl IntoIterator<Item = &'v PhotoResult>,
) -> impl Iterator<Item = &'v PhotoResult> {
    let strength = |result: &PhotoResult| match &result.verdict {
        Verdict::Anonymized {
            detections: Some(_), ..
        } => 2,
        Verdict::Anonymized { detections: None, .. } => 1,
        Verdict::Failed { .. } => 0,
    };
    let mut by_photo: BTreeMap<_, &PhotoResult> = BTreeMap::new();
    for result in results {
        by_photo
            .entry(result.id)
            .and_modify(|current| {
                if strength(result) > strength(current) {
                    *current = result;
                }
            })
            .or_insert(result);
    }
    by_photo.into_values()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(id: i64, detail: &str) -> PhotoResult {
        PhotoResult::new(
            id.try_into().unwrap(),
            Verdict::Failed {
                reason: FailureReason::CorruptImage,
                detail: detail.to_owned(),
            },
        )
    }

    fn anonymized(id: i64, detections: Option<Vec<contract::Detection>>) -> PhotoResult {
        PhotoResult::new(
            id.try_into().unwrap(),
            Verdict::Anonymized {
                output: "s3://output/photos/a/2026-01-01/1.jpg".parse().unwrap(),
                size_bytes: 10,
                width: 4,
                height: 3,
                detections,
                seconds: None,
            },
        )
    }

    #[test]
    fn a_batch_has_the_strongest_verdict_of_each_photo() {
        let batch = [
            failed(2, "x"),
            anonymized(1, None),
            failed(1, "y"),
            anonymized(1, Some(vec![])),
            failed(2, "z"),
        ];
        let columns = BatchColumns::from_results(&batch);
        assert_eq!(columns.anonymized.ids, [1]);
        assert!(columns.anonymized.detections[0].is_some());
        assert_eq!(columns.failed.ids, [2]);
        assert_eq!(columns.failed.details, ["x"]);
    }

    #[test]
    fn a_nul_in_a_detail_is_replaced() {
        assert_eq!(
            BatchColumns::from_results(&[failed(1, "a\0b")]).failed.details,
            ["a\u{fffd}b"]
        );
    }
}

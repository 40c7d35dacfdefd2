//! Availability during a load: photos in the database, outages, and the longest gap between new photos.

use std::time::Duration;

use anyhow::Result;

use super::{Harness, patroni};
use crate::{
    cluster::{Condition, wait_until},
    load::{LoadRecord, LoadSummary, RequestKind, seconds},
    report::ReportRow,
};

/// How long a standby may lag.
const STANDBY_LAG_LIMIT: Duration = Duration::from_secs(60);

/// Requires that every acknowledged photo has its row on each of these pods.
pub async fn require_rows(
    harness: &mut Harness,
    what: &str,
    record: &LoadRecord,
    pods: &[String],
) -> Result<()> {
    let acknowledged = record.acknowledgements.acknowledged();
    for pod in pods {
        let cluster = &harness.cluster;
        let compared = wait_until("all rows exist", STANDBY_LAG_LIMIT, async || {
            let photos = acknowledged
                .iter()
                .map(|(id, photo)| (*id, photo.sha256.as_str()));
            let (rows, missing) = patroni::missing_rows(cluster, pod, &record.project, photos).await?;
            Ok(if missing.is_empty() {
                Condition::Met(rows)
            } else {
                Condition::Unmet(format!("without a row: {missing:?}"))
            })
        })
        .await;
        let ids = acknowledged.len();
        let met = compared.is_ok();
        let observed = match compared {
            Ok(rows) => format!("{ids} acknowledged ids, {rows} rows, 0 missing"),
            Err(error) => format!("{ids} acknowledged ids; {error:#}"),
        };
        harness.report.require(
            format_args!("{what}: every acknowledged photo has its row on {pod}"),
            met,
            observed,
        );
    }
    Ok(())
}

/// The longest time between two acknowledgements of new photos. Counts gaps that end after `after`. Only new photos need a commit;
/// the service answers for known photos without one.
pub fn longest_upload_gap(record: &LoadRecord, after: Duration) -> Duration {
    let mut times: Vec<_> = record
        .acknowledgements
        .acknowledged()
        .values()
        .map(|photo| photo.at)
        .collect();
    times.push(record.duration);
    longest_gap(times, after)
}

/// The longest gap between two of these times. Counts gaps that end after `after`.
pub fn longest_gap(mut times: Vec<Duration>, after: Duration) -> Duration {
    times.sort_unstable();
    times
        .windows(2)
        .filter(|pair| pair[1] > after)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}

/// A table row about the requests since `since`. `ready`: the time from then until all pods were ready.
pub fn row(what: &str, record: &LoadRecord, since: Duration, ready: Duration) -> ReportRow {
    let attempts = record.between(since, Duration::MAX);
    let [writes, statuses, images] = RequestKind::ALL.map(|kind| LoadSummary::new(kind, &attempts));
    let failed_reads = format!(
        "statuses: {}, images: {}",
        statuses.failures_by_kind(),
        images.failures_by_kind()
    );
    vec![
        ("failure", what.to_owned()),
        ("all ready again", seconds(ready)),
        ("no uploads", writes.outages()),
        ("no new photo", seconds(longest_upload_gap(record, since))),
        ("no statuses", statuses.outages()),
        ("no images", images.outages()),
        ("failed uploads", writes.failures_by_kind()),
        ("failed reads", failed_reads),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_if_it_ends_after_the_given_time() {
        let times = || [9, 1, 2, 3].map(Duration::from_secs).to_vec();
        assert_eq!(
            longest_gap(times(), Duration::from_secs(4)),
            Duration::from_secs(6)
        );
        assert_eq!(longest_gap(times(), Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(longest_gap(vec![], Duration::ZERO), Duration::ZERO);
    }
}

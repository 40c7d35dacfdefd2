//! Availability during a load: photos in the database, outages, and the longest gap between new photos.

use std::time::Duration;

use anyhow::Result;

use super::{Harness, patroni};
use crate::{
    cluster::{Condition, wait_until},
    load::{Record, RequestKind, Summary, seconds},
};

/// How long a standby may lag.
const STANDBY_LAG_LIMIT: Duration = Duration::from_secs(60);

/// Requires that every acknowledged photo has its row on each of these pods.
///
/// # Errors
/// When a pod does not answer.
pub async fn require_rows(harness: &mut Harness, what: &str, record: &Record, pods: &[String]) -> Result<()> {
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
#[must_use]
pub fn longest_upload_gap(record: &Record, after: Duration) -> Duration {
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
#[must_use]
pub fn longest_gap(mut times: Vec<Duration>, after: Duration) -> Duration {
    times.sort_unstable();
    times
        .windows(2)
        .filter(|pair| pair[1] > after)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}

/// The columns of [`row`].
pub const HEADER: [&str; 8] = [
    "failure",
    "all ready again",
    "no uploads",
    "no new photo",
    "no statuses",
    "no images",
    "failed uploads",
    "failed reads",
];

/// A table row about the requests since `since`. `ready`: the time from then until all pods were ready.
#[must_use]
pub fn row(what: &str, record: &Record, since: Duration, ready: Duration) -> Vec<String> {
    let attempts = record.between(since, Duration::MAX);
    let [writes, statuses, images] = RequestKind::ALL.map(|kind| Summary::new(kind, &attempts));
    vec![
        what.to_owned(),
        seconds(ready),
        writes.outages(),
        seconds(longest_upload_gap(record, since)),
        statuses.outages(),
        images.outages(),
        writes.failures_by_kind(),
        format!(
            "statuses: {}, images: {}",
            statuses.failures_by_kind(),
            images.failures_by_kind()
        ),
    ]
}

/// The meaning of the columns.
pub const LEGEND: &str = "\"2.1 s / 3.0 s\": the longest outage, and the sum of all outages. An outage lasts from the start of the first request that is \
     not served within 3 s until the answer to the first request that is. *No new photo*: the longest time between the 2xx of two new \
     photos; normally there is one photo per second. Repeated uploads need no commit, so this is the time without commits. *All ready \
     again*: pods and standbys. A camera without a 2xx repeats its upload.";

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

//! The ledger of a load against the database's rows, and how long nothing new was taken.

use std::time::Duration;

use anyhow::Result;

use super::{Stage, patroni};
use crate::{
    cluster::{Seen, until},
    load::{Kind, Record, Summary, seconds},
};

/// How long a standby may be behind.
const BEHIND: Duration = Duration::from_secs(60);

/// Demands that every photo that was answered with 2xx has its row, on these pods.
///
/// # Errors
/// When a pod does not answer.
pub async fn compare(stage: &mut Stage, what: &str, record: &Record, pods: &[String]) -> Result<()> {
    let acknowledged = record.answers.acknowledged();
    for pod in pods {
        let cluster = &stage.cluster;
        let compared = until("the rows are there", BEHIND, async || {
            let ledger = acknowledged
                .iter()
                .map(|(id, known)| (*id, known.sha256.as_str()));
            let (rows, missing) = patroni::against_rows(cluster, pod, &record.project, ledger).await?;
            Ok(if missing.is_empty() {
                Seen::Yes(rows)
            } else {
                Seen::NotYet(format!("without a row: {missing:?}"))
            })
        })
        .await;
        let ids = acknowledged.len();
        let met = compared.is_ok();
        let seen = match compared {
            Ok(rows) => format!("{ids} ids that were answered with 2xx, {rows} rows, missing 0"),
            Err(error) => format!("{ids} ids that were answered with 2xx; {error:#}"),
        };
        stage.report.demand(
            format_args!("{what}: every photo that was answered with 2xx has its row on {pod}"),
            met,
            seen,
        );
    }
    Ok(())
}

/// The longest time in which no new photo was taken, of those that end after a moment. New photos are what needs a commit: a photo
/// that is known is answered without one.
#[must_use]
pub fn nothing_new(record: &Record, after: Duration) -> Duration {
    let mut moments: Vec<_> = record
        .answers
        .acknowledged()
        .values()
        .map(|known| known.at)
        .collect();
    moments.push(record.lasted);
    longest_gap(moments, after)
}

/// The longest time between two moments, of those that end after another.
#[must_use]
pub fn longest_gap(mut moments: Vec<Duration>, after: Duration) -> Duration {
    moments.sort_unstable();
    moments
        .windows(2)
        .filter(|pair| pair[1] > after)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default()
}

/// The columns of [`row`].
pub const HEADER: [&str; 8] = [
    "what happened",
    "all ready again",
    "no posts",
    "no new photo",
    "no states",
    "no images",
    "failed posts",
    "failed reads",
];

/// A row of what was seen from outside since a moment; `ready`: since then too.
#[must_use]
pub fn row(what: &str, record: &Record, since: Duration, ready: Duration) -> Vec<String> {
    let attempts = record.between(since, Duration::MAX);
    let [writes, states, images] = Kind::ALL.map(|kind| Summary::of(kind, &attempts));
    let away = |summary: &Summary| format!("{} / {}", seconds(summary.longest), seconds(summary.total));
    vec![
        what.to_owned(),
        seconds(ready),
        away(&writes),
        seconds(nothing_new(record, since)),
        away(&states),
        away(&images),
        writes.failures_by_kind(),
        format!(
            "states: {}, images: {}",
            states.failures_by_kind(),
            images.failures_by_kind()
        ),
    ]
}

/// What the columns mean.
pub const LEGEND: &str = "\"2.1 s / 3.0 s\": the longest time without service, and all together, from the beginning of the first request \
     that was not served within 3 s to the answer of the first that was. *No new photo*: the longest time between the 2xx of two new \
     photos, of which one comes in a second when all is well; photos that are posted once more are answered without a commit, so this is \
     the time without commits. *All ready again*: pods and standbys. A camera that gets no 2xx posts its photo again.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_counts_where_it_ends_after_the_moment() {
        let moments = || [9, 1, 2, 3].map(Duration::from_secs).to_vec();
        assert_eq!(
            longest_gap(moments(), Duration::from_secs(4)),
            Duration::from_secs(6)
        );
        assert_eq!(longest_gap(moments(), Duration::from_secs(9)), Duration::ZERO);
        assert_eq!(longest_gap(vec![], Duration::ZERO), Duration::ZERO);
    }
}

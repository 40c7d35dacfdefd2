//! Checks what `logq admin` installs and maintains in OpenSearch.

use std::time::Duration;

use super::finding::Finding;
use crate::{
    admin::{self, Action, Age, Change, Index, Options, RetentionPolicy, bootstrap, data_streams},
    opensearch::Client,
};

const TEMPLATES: &str = "templates, streams";
const RETENTION: &str = "retention";

const BOOTSTRAP: &str = "run `logq admin bootstrap`, as for every release";

/// Checks templates, pipeline and streams with a dry run of `logq admin bootstrap`.
pub async fn templates(client: &Client) -> Result<Vec<Finding>, admin::Error> {
    let mut all = Vec::new();
    let options = Options {
        dry_run: true,
        ..Options::default()
    };
    let mut say = |change| {
        all.push(change);
        Ok(())
    };
    let done = bootstrap(client, options, &mut say).await;
    match done {
        Ok(()) => Ok(judge_templates(&all, admin::version()?)),
        Err(error @ (admin::Error::Outranked { .. } | admin::Error::Taken { .. })) => {
            Ok(vec![Finding::fail(
                TEMPLATES,
                error.to_string(),
                "then run `logq admin bootstrap`",
            )])
        }
        Err(error) => Err(error),
    }
}

fn judge_templates(changes: &[Change], version: u64) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing = Vec::new();
    for Change { what, action } in changes {
        match action {
            Action::Planned(how) if how.starts_with("be created") => missing.push(what.as_str()),
            Action::Planned(how) => {
                findings.push(Finding::warn(TEMPLATES, format!("{what} would {how}"), BOOTSTRAP));
            }
            Action::Skipped(why) => findings.push(Finding::warn(
                TEMPLATES,
                format!("{what}: {why}"),
                "use the logq of the newest release",
            )),
            Action::Unchanged | Action::Created | Action::Changed(_) | Action::Deleted(_) => {}
        }
    }
    if !missing.is_empty() {
        let are = if missing.len() == 1 { "is" } else { "are" };
        let detail = format!("{} {are} missing", missing.join(", "));
        findings.insert(0, Finding::fail(TEMPLATES, detail, BOOTSTRAP));
    }
    if findings.is_empty() {
        let detail = format!("up to date (version {version})");
        findings.push(Finding::ok(TEMPLATES, detail));
    }
    findings
}

/// Checks whether `logq admin retain` runs. `now`: OpenSearch's time, seconds since 1970.
pub async fn retention(
    client: &Client,
    policy: RetentionPolicy,
    now: f64,
) -> Result<Vec<Finding>, admin::Error> {
    let mut all = Vec::new();
    for stream in data_streams() {
        // The check of the templates reports a missing stream.
        if let Some(indices) = admin::indices(client, &stream).await? {
            all.push((stream, indices));
        }
    }
    Ok(judge_retention(&all, policy, now))
}

/// A limit may be exceeded by this factor, because the job runs only now and then.
const OVERDUE_FACTOR: f64 = 1.5;

fn judge_retention(streams: &[(String, Vec<Index>)], policy: RetentionPolicy, now: f64) -> Vec<Finding> {
    let age = |since: u64| Duration::from_secs_f64((now - since as f64 / 1_000.0).max(0.0));
    let slack = policy.rollover_age.0.mul_f64(OVERDUE_FACTOR - 1.0);
    let mut findings = Vec::new();
    let mut oldest = Duration::ZERO;
    let mut bytes = 0;
    for (stream, indices) in streams {
        bytes += indices.iter().map(|index| index.size.0).sum::<u64>();
        let Some(write_index) = indices.last() else {
            continue;
        };
        for (index, next) in indices.iter().zip(indices.iter().skip(1)) {
            // An index receives no lines after the creation of the next one.
            let filled = age(next.created);
            oldest = oldest.max(filled);
            if filled > policy.keep.0 + slack {
                let name = &index.name;
                let detail = format!(
                    "{name} was closed {} ago, but the retention is {}",
                    rounded(filled),
                    policy.keep
                );
                findings.push(overdue(detail));
            }
        }
        // An empty index is not rolled over.
        if write_index.lines == 0 {
            continue;
        }
        if age(write_index.created) > policy.rollover_age.0.mul_f64(OVERDUE_FACTOR) {
            let detail = format!(
                "{stream} has written to one index for {}, but the limit is {}",
                rounded(age(write_index.created)),
                policy.rollover_age
            );
            findings.push(overdue(detail));
        } else if write_index.size.0 as f64 > policy.rollover_size.0 as f64 * OVERDUE_FACTOR {
            let detail = format!(
                "the index of {stream} has {}, but the limit is {}",
                write_index.size, policy.rollover_size
            );
            findings.push(overdue(detail));
        }
    }
    if findings.is_empty() {
        let indices: usize = streams.iter().map(|(_, indices)| indices.len()).sum();
        let filled = if oldest == Duration::ZERO {
            "none closed yet".to_owned()
        } else {
            format!("the oldest closed {} ago", rounded(oldest))
        };
        let size = admin::Size(bytes);
        findings.push(Finding::ok(
            RETENTION,
            format!("{indices} indices, {size}, {filled}; kept for {}", policy.keep),
        ));
    }
    findings
}

/// Rounds down to minutes.
fn rounded(age: Duration) -> Age {
    let seconds = age.as_secs();
    Age(Duration::from_secs(if seconds > 60 {
        seconds - seconds % 60
    } else {
        seconds
    }))
}

fn overdue(detail: String) -> Finding {
    Finding::warn(
        RETENTION,
        detail,
        "check the job that runs `logq admin retain`; its limits: LOGQ_RETAIN_KEEP, \
         LOGQ_RETAIN_ROLLOVER_AGE, LOGQ_RETAIN_ROLLOVER_SIZE",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::Size, doctor::finding};

    fn change(what: &str, action: Action) -> Change {
        Change {
            what: what.to_owned(),
            action,
        }
    }

    #[test]
    fn planned_changes_are_reported() {
        let found = judge_templates(&[change("index template x", Action::Unchanged)], 3);
        assert_eq!(found, [Finding::ok(TEMPLATES, "up to date (version 3)")]);
        let found = judge_templates(
            &[
                change(
                    "ingest pipeline x",
                    Action::Planned("be changed: version 1 is now 3".into()),
                ),
                change(
                    "index template x",
                    Action::Skipped("version 9 belongs to a newer release".into()),
                ),
                change(
                    "data stream a",
                    Action::Planned("be created: it does not exist".into()),
                ),
                change(
                    "data stream b",
                    Action::Planned("be created: it does not exist".into()),
                ),
            ],
            3,
        );
        let texts: Vec<_> = found
            .iter()
            .map(|finding| (finding.status, finding.detail.as_str()))
            .collect();
        assert_eq!(
            texts,
            [
                (
                    finding::CheckStatus::Fail,
                    "data stream a, data stream b are missing"
                ),
                (
                    finding::CheckStatus::Warn,
                    "ingest pipeline x would be changed: version 1 is now 3"
                ),
                (
                    finding::CheckStatus::Warn,
                    "index template x: version 9 belongs to a newer release"
                ),
            ]
        );
    }

    const DAY: u64 = 86_400_000;

    fn index(name: &str, created: u64, lines: u64, gigabytes: u64) -> Index {
        Index {
            name: name.to_owned(),
            created,
            lines,
            size: Size(gigabytes << 30),
        }
    }

    #[test]
    fn overdue_retention_is_reported() {
        let policy = RetentionPolicy {
            rollover_size: Size(20 << 30),
            rollover_age: Age(Duration::from_secs(86_400)),
            keep: Age(Duration::from_secs(30 * 86_400)),
        };
        let found = |indices: &[Index]| {
            let streams = [("logs-irmgard".to_owned(), indices.to_vec())];
            let found = judge_retention(&streams, policy, 100.0 * 86_400.0);
            found
                .into_iter()
                .map(|finding| finding.detail)
                .collect::<Vec<_>>()
        };
        let now = 100 * DAY;
        assert_eq!(
            found(&[index("a", now - 30 * DAY, 5, 1), index("b", now - DAY / 2, 5, 1)]),
            ["2 indices, 2gb, the oldest closed 12h ago; kept for 30d"]
        );
        // An empty index may have any age.
        assert_eq!(
            found(&[index("a", now - 90 * DAY, 0, 0)]),
            ["1 indices, 0b, none closed yet; kept for 30d"]
        );
        assert_eq!(
            found(&[
                index("a", now - 60 * DAY, 5, 1),
                index("b", now - 40 * DAY, 5, 1),
                index("c", now - 3 * DAY, 5, 50)
            ]),
            [
                "a was closed 40d ago, but the retention is 30d",
                "logs-irmgard has written to one index for 3d, but the limit is 1d",
            ]
        );
        assert_eq!(
            found(&[index("c", now - DAY, 5, 31)]),
            ["the index of logs-irmgard has 31gb, but the limit is 20gb"]
        );
    }
}

//! Releases under load: a migration in three steps (expand, migrate, contract), rollbacks, and bad releases.

mod lock_waits;
mod rollout;

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tokio::time::Instant;

use self::{
    lock_waits::{LockMonitor, LockWaits, POLL_INTERVAL},
    rollout::{Rollout, Step},
};
use super::{Harness, check_photos};
use crate::{
    cluster::{Deployment, Endpoints, LogSource, field},
    console::print_progress,
    load::{Load, Rates, Record, RequestKind, Summary, seconds},
    release::{CONTRACTED, EXPANDED},
};

/// The number of old photos, so that reading all rows takes some time.
const OLD_PHOTOS: i64 = 100_000;
/// A release without progress for this long has failed.
const PROGRESS_DEADLINE: Duration = Duration::from_secs(60);

/// The images of the current and the next releases.
struct Images {
    current: String,
    expanded: String,
    contracted: String,
    worker: String,
    next_worker: String,
}

pub(super) async fn run(harness: &mut Harness) -> Result<()> {
    let current = harness.cluster.image("irmgard").await?;
    let worker = harness.cluster.image("anonymizer").await?;
    let images = Images {
        expanded: EXPANDED.image(&current),
        contracted: CONTRACTED.image(&current),
        next_worker: EXPANDED.image(&worker),
        current,
        worker,
    };
    if !harness.cluster.settings().release_built {
        let project = harness.cluster.project().to_owned();
        tokio::task::spawn_blocking(move || {
            EXPANDED.build(&project)?;
            CONTRACTED.build(&project)
        })
        .await??;
    }
    // This release rejects the schema that an earlier run has left.
    harness.cluster.delete_namespaces().await?;
    harness.cluster.deploy(&first_deployment()).await?;
    let endpoints = harness.cluster.endpoints().await?;
    insert_old_photos(&endpoints.database).await?;

    let time_limit = harness.cluster.settings().time_limit;
    let rates = Rates::with_probes(harness.cluster.settings().photos_per_second);
    let load = Load::start(&endpoints.web, "release", rates, time_limit).await?;
    let zero = Instant::now()
        .checked_sub(load.now())
        .unwrap_or_else(Instant::now);
    let lock_monitor = LockMonitor::start(endpoints.database.clone(), zero);
    let mut rollout = Rollout::new(harness, &endpoints, &load);
    let result = async {
        release_irmgard(&mut rollout, &images).await?;
        release_anonymizer(&mut rollout, &images).await
    }
    .await;
    let steps = rollout.into_steps();
    let record = load.stop().await;
    write_report(harness, &steps, &record, &lock_monitor);
    drop(lock_monitor);
    result?;
    check_photos(harness, &endpoints, &record, "through all releases").await?;
    require_column_values(harness, &endpoints.database).await?;
    report_redeliveries(harness, &endpoints, &record).await
}

/// The overlay with two replicas of each program. It keeps the manifests' progress deadline, because on an empty cluster all
/// programs wait for the database.
fn first_deployment() -> Deployment {
    Deployment::new("release")
        .replicas("irmgard", 2)
        .replicas("anonymizer", 2)
}

/// The same with a short progress deadline, so that a bad release fails soon.
fn deployment() -> Deployment {
    let operations = serde_json::json!([
        { "op": "replace", "path": "/spec/progressDeadlineSeconds", "value": PROGRESS_DEADLINE.as_secs() },
    ]);
    first_deployment()
        .patch("Deployment", "irmgard", &operations)
        .patch("Deployment", "anonymizer", &operations)
}

/// Releases irmgard in the steps expand, migrate, contract. After each step except the last, the previous release still works.
async fn release_irmgard(rollout: &mut Rollout<'_>, images: &Images) -> Result<()> {
    let (expanded, contracted) = (
        deployment().image(&images.current, &images.expanded),
        deployment().image(&images.current, &images.contracted),
    );
    rollout.steady_load("0.1.0 runs").await;

    let step = rollout.start_step("expand: `irmgard migrate` of 0.2.0 while 0.1.0 runs");
    rollout.migrate(&expanded).await?;
    rollout
        .require_schema("the column exists, and 0.1.0 runs", 2)
        .await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("irmgard 0.1.0 → 0.2.0");
    rollout.apply(&expanded, "web").await?;
    rollout
        .wait_for_rollout("irmgard", "web", &images.expanded)
        .await?;
    rollout.end_step(step).await;

    for (name, image) in [
        ("rollback: 0.2.0 → 0.1.0, on the new schema", &images.current),
        ("again: 0.1.0 → 0.2.0", &images.expanded),
    ] {
        let step = rollout.start_step(name);
        rollout.undo("irmgard").await?;
        rollout.wait_for_rollout("irmgard", "web", image).await?;
        rollout.end_step(step).await;
    }

    let step = rollout.start_step("bad release: 0.3.0 before the backfill, so that its migration fails");
    rollout.delete_job().await?;
    rollout.apply(&contracted, "migrate").await?;
    rollout.apply(&contracted, "web").await?;
    rollout
        .require_stalled("irmgard", "web", &images.expanded, 2, "0.3.0 without its schema")
        .await?;
    rollout
        .require_schema("the failed migration changed nothing", 2)
        .await?;
    // Otherwise the Job would retry and succeed after the backfill.
    rollout.delete_job().await?;
    rollout.undo("irmgard").await?;
    rollout
        .wait_for_rollout("irmgard", "web", &images.expanded)
        .await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("migrate: backfill of the old rows, 1000 ids at a time");
    rollout.backfill().await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("contract: `make deploy` of 0.3.0, migration and pods together");
    rollout.harness.cluster.deploy(&contracted).await?;
    rollout
        .wait_for_rollout("irmgard", "web", &images.contracted)
        .await?;
    rollout.require_schema("the column is NOT NULL", 3).await?;
    rollout.end_step(step).await;

    for (name, image) in [
        ("rollback: 0.3.0 → 0.2.0, on the new schema", &images.expanded),
        ("again: 0.2.0 → 0.3.0", &images.contracted),
    ] {
        let step = rollout.start_step(name);
        rollout.undo("irmgard").await?;
        rollout.wait_for_rollout("irmgard", "web", image).await?;
        rollout.end_step(step).await;
    }

    let step = rollout.start_step("bad release: 0.1.0, two migrations behind");
    rollout.set_image("irmgard", &images.current).await?;
    rollout
        .require_stalled(
            "irmgard",
            "web",
            &images.contracted,
            2,
            "0.1.0 on the contracted schema",
        )
        .await?;
    let codes = rollout.exit_codes("irmgard", &images.current).await?;
    rollout.harness.report.require(
        "0.1.0 rejects the newer schema with exit code 3",
        !codes.is_empty() && codes.iter().all(|code| *code == 3),
        format_args!("exit codes {codes:?}"),
    );
    rollout.undo("irmgard").await?;
    rollout
        .wait_for_rollout("irmgard", "web", &images.contracted)
        .await?;
    rollout.end_step(step).await;
    Ok(())
}

/// Releases the anonymizer. Its releases change no schema, but must not lose jobs.
async fn release_anonymizer(rollout: &mut Rollout<'_>, images: &Images) -> Result<()> {
    // irmgard 0.3.0 has no new worker image.
    let next = deployment()
        .image(&images.current, &images.contracted)
        .image(&images.worker, &images.next_worker);
    let step = rollout.start_step("anonymizer 0.1.0 → 0.2.0");
    rollout.apply(&next, "worker").await?;
    rollout
        .wait_for_rollout("anonymizer", "worker", &images.next_worker)
        .await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("rollback: anonymizer 0.2.0 → 0.1.0");
    rollout.undo("anonymizer").await?;
    rollout
        .wait_for_rollout("anonymizer", "worker", &images.worker)
        .await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("bad release: an anonymizer with an invalid configuration");
    rollout.set_variable("anonymizer", "SHUTDOWN_GRACE=soon").await?;
    // The rollout stops one pod before it starts another. The second pod stays.
    rollout
        .require_stalled(
            "anonymizer",
            "worker",
            &images.worker,
            1,
            "a worker that does not start",
        )
        .await?;
    rollout.undo("anonymizer").await?;
    rollout
        .wait_for_rollout("anonymizer", "worker", &images.worker)
        .await?;
    rollout.end_step(step).await;
    Ok(())
}

/// Inserts old photos, as from before the migration.
async fn insert_old_photos(database: &PgPool) -> Result<()> {
    print_progress(format_args!("inserting {OLD_PHOTOS} old photos"));
    sqlx::query(
        "insert into photo (project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256, output)
         select 'e2e-before', 'photo ' || n, 'anonymized', timestamptz '2020-01-01Z' + n * interval '1 s', 'client', 'image/jpeg',
                1000, 640, 480, sha256(n::text::bytea), 's3://output/none/' || n
           from generate_series(1, $1) as n",
    )
    .bind(OLD_PHOTOS)
    .execute(database)
    .await
    .context("cannot insert old photos")?;
    Ok(())
}

fn write_report(harness: &mut Harness, steps: &[Step], record: &Record, lock_monitor: &LockMonitor) {
    let mut rows = Vec::new();
    for step in steps {
        let attempts = record.between(step.from, step.to);
        let failed: usize = RequestKind::ALL
            .iter()
            .map(|kind| Summary::new(*kind, &attempts).failures())
            .sum();
        let writes = Summary::new(RequestKind::Write, &attempts);
        let LockWaits {
            with_wait,
            samples,
            longest,
        } = lock_monitor.between(step.from, step.to);
        rows.push(vec![
            step.name.clone(),
            step.duration.map_or("–".to_owned(), seconds),
            attempts.len().to_string(),
            failed.to_string(),
            seconds(writes.percentile(50.0)),
            seconds(writes.percentile(99.0)),
            seconds(writes.percentile(100.0)),
            format!("{with_wait} of {samples}"),
            seconds(longest),
        ]);
    }
    let report = &mut harness.report;
    report.section("Steps");
    report.text(format_args!(
        "One load from outside runs through all steps. 0.1.0 is the last commit. 0.2.0 adds the column `photo.received_by` and writes it; \
         0.3.0 makes it NOT NULL (e2e/release). Each program has two pods; the table has {OLD_PHOTOS} old rows. A step ends when no pod of \
         the other version is left; its requests are counted until some seconds later. A release has failed after {} s without progress \
         (180 and 300 s in the manifests). Lock waits: samples of `pg_locks` every {} ms.",
        PROGRESS_DEADLINE.as_secs(),
        POLL_INTERVAL.as_millis()
    ));
    report.table(
        &[
            "step",
            "duration",
            "requests",
            "failed",
            "uploads p50",
            "p99",
            "max",
            "samples with a lock wait",
            "longest lock wait",
        ],
        &rows,
    );
    report.section("All requests");
    let rows: Vec<_> = RequestKind::ALL
        .iter()
        .map(|kind| super::request_row(kind.name(), &Summary::new(*kind, &record.attempts)))
        .collect();
    report.table(&super::REQUEST_HEADER, &rows);
    let failed: Vec<_> = RequestKind::ALL
        .iter()
        .map(|kind| Summary::new(*kind, &record.attempts))
        .collect();
    let count: usize = failed.iter().map(Summary::failures).sum();
    let kinds: Vec<_> = failed.iter().map(Summary::failures_by_kind).collect();
    report.require(
        "no request fails in any step",
        count == 0,
        format_args!("{count} of {} ({})", record.attempts.len(), kinds.join("; ")),
    );
    report.limitation(
        "A table of millions of rows: VALIDATE and the backfill take longer with it, but hold no lock that blocks other sessions. The two \
         short locks do not take longer.",
    );
    report.limitation(
        "A release during a transaction of several minutes: the migration's lock_timeout of 2 s ends its wait, and the Job retries.",
    );
}

/// Requires that every row has a value in the new column, and reports the migrations' times.
async fn require_column_values(harness: &mut Harness, database: &PgPool) -> Result<()> {
    let (missing, unknown, instances): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where received_by is null), count(*) filter (where received_by = 'unknown'),
                count(distinct received_by) filter (where received_by <> 'unknown')
           from photo",
    )
    .fetch_one(database)
    .await?;
    harness.report.require(
        "every photo has a value in received_by; photos of 0.1.0 have `unknown`",
        missing == 0 && unknown >= OLD_PHOTOS && instances > 0,
        format_args!("{missing} without a value, {unknown} unknown, the others from {instances} pods"),
    );
    let migrations: Vec<(i64, i64)> =
        sqlx::query_as("select version, execution_time from _sqlx_migrations order by version")
            .fetch_all(database)
            .await?;
    let times: Vec<_> = migrations
        .into_iter()
        .map(|(version, nanoseconds)| {
            let duration = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
            vec![version.to_string(), seconds(duration)]
        })
        .collect();
    harness.report.section("Duration of the migrations");
    harness
        .report
        .table(&["migration", "duration of its statements"], &times);
    Ok(())
}

/// Reports how many jobs were delivered again, and how many photos were processed twice.
async fn report_redeliveries(harness: &mut Harness, endpoints: &Endpoints, record: &Record) -> Result<()> {
    if harness.cluster.log_source() == LogSource::Pods {
        harness
            .report
            .limitation("The number of redelivered jobs: without Fluentd, the lines of ended pods are lost.");
        return Ok(());
    }
    let since = record.start.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let options = [
        "--component=anonymizer",
        "--field=photo.id exists",
        "--since",
        since.as_str(),
        "--output=jsonl",
    ];
    let output = harness.cluster.logq(endpoints, &options).await?;
    let (mut redelivered, mut repeated, mut photos) = (0, 0, std::collections::BTreeSet::new());
    for line in output.lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).context("a line of logq's output is not JSON")?;
        let message = field(&line, "message").and_then(serde_json::Value::as_str);
        if !matches!(
            message,
            Some("anonymised a photo" | "the photo had been anonymised already")
        ) {
            continue;
        }
        let deliveries = field(&line, "messaging.delivery_count").and_then(serde_json::Value::as_u64);
        redelivered += usize::from(deliveries.is_some_and(|count| count > 0));
        repeated += usize::from(!photos.insert(field(&line, "photo.id").and_then(serde_json::Value::as_i64)));
    }
    harness.report.section("Jobs");
    harness.report.text(format_args!(
        "The log lines show {} processed photos. {redelivered} jobs had been delivered before to a worker that ended. {repeated} photos were \
         processed a second time, with the same result.",
        photos.len()
    ));
    Ok(())
}

//! Releases under load: a migration in three steps (expand, migrate, contract), rollbacks, and bad releases.

mod images;
mod lock_waits;
mod rollout;

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tokio::time::Instant;

use self::{
    images::{CONTRACTED, EXPANDED},
    lock_waits::{LockMonitor, LockWaits, POLL_INTERVAL},
    rollout::{Rollout, Step},
};
use super::{Harness, check_photos};
use crate::{
    cluster::{Deployment, Endpoints, LogSource, field},
    console::print_progress,
    load::{LoadRecord, LoadSummary, RequestKind, seconds},
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
        let (irmgard, worker) = (images.current.clone(), images.worker.clone());
        tokio::task::spawn_blocking(move || images::build(&project, &irmgard, &worker)).await??;
    }
    // This release rejects the schema that an earlier run has left.
    harness.cluster.delete_namespaces().await?;
    harness.cluster.deploy(&first_deployment()).await?;
    let endpoints = harness.cluster.endpoints().await?;
    insert_old_photos(&endpoints.database).await?;

    let load = harness.start_load(&endpoints, "release").await?;
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
        .require_schema("the column exists, and 0.1.0 runs", EXPANDED.schema_version)
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
        rollout.undo("irmgard", "web", image).await?;
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
        .require_schema("the failed migration changed nothing", EXPANDED.schema_version)
        .await?;
    // Otherwise the Job would retry and succeed after the backfill.
    rollout.delete_job().await?;
    rollout.undo("irmgard", "web", &images.expanded).await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("migrate: backfill of the old rows, 1000 ids at a time");
    rollout.backfill().await?;
    rollout.end_step(step).await;

    let step = rollout.start_step("contract: `make deploy` of 0.3.0, migration and pods together");
    rollout.harness.cluster.deploy(&contracted).await?;
    rollout
        .wait_for_rollout("irmgard", "web", &images.contracted)
        .await?;
    rollout
        .require_schema("the column is NOT NULL", CONTRACTED.schema_version)
        .await?;
    rollout.end_step(step).await;

    for (name, image) in [
        ("rollback: 0.3.0 → 0.2.0, on the new schema", &images.expanded),
        ("again: 0.2.0 → 0.3.0", &images.contracted),
    ] {
        let step = rollout.start_step(name);
        rollout.undo("irmgard", "web", image).await?;
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
    rollout.undo("irmgard", "web", &images.contracted).await?;
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
    rollout.undo("anonymizer", "worker", &images.worker).await?;
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
    rollout.undo("anonymizer", "worker", &images.worker).await?;
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

fn write_report(harness: &mut Harness, steps: &[Step], record: &LoadRecord, lock_monitor: &LockMonitor) {
    let report = &mut harness.report;
    report.fact("old_photos", OLD_PHOTOS);
    report.fact("progress_deadline", PROGRESS_DEADLINE.as_secs());
    report.fact("poll_interval", POLL_INTERVAL.as_millis());
    for step in steps {
        let attempts = record.between(step.from, step.to);
        let failed: usize = RequestKind::ALL
            .iter()
            .map(|kind| LoadSummary::new(*kind, &attempts).failures())
            .sum();
        let writes = LoadSummary::new(RequestKind::Write, &attempts);
        let LockWaits {
            with_wait,
            samples,
            longest,
        } = lock_monitor.between(step.from, step.to);
        let row = vec![
            ("step", step.name.clone()),
            ("duration", step.duration.map_or("–".to_owned(), seconds)),
            ("requests", attempts.len().to_string()),
            ("failed", failed.to_string()),
            ("uploads p50", seconds(writes.percentile(50.0))),
            ("p99", seconds(writes.percentile(99.0))),
            ("max", seconds(writes.percentile(100.0))),
            ("samples with a lock wait", format!("{with_wait} of {samples}")),
            ("longest lock wait", seconds(longest)),
        ];
        report.row("steps", row);
    }
    let (count, kinds) = super::report_requests(report, record);
    report.require(
        "no request fails in any step",
        count == 0,
        format_args!("{count} of {} ({kinds})", record.attempts.len()),
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
    for (version, nanoseconds) in migrations {
        let duration = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
        let row = vec![
            ("migration", version.to_string()),
            ("duration of its statements", seconds(duration)),
        ];
        harness.report.row("migrations", row);
    }
    Ok(())
}

/// Reports how many jobs were delivered again, and how many photos were processed twice.
async fn report_redeliveries(
    harness: &mut Harness,
    endpoints: &Endpoints,
    record: &LoadRecord,
) -> Result<()> {
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
    harness.report.fact("processed", photos.len());
    harness.report.fact("redelivered", redelivered);
    harness.report.fact("repeated", repeated);
    Ok(())
}

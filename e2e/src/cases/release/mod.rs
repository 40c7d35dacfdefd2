//! Releases under load: a migration in three steps (expand, migrate, contract), the way back, and releases that are bad.

mod play;
mod waits;

use std::time::Duration;

use anyhow::{Context, Result};
use sqlx::PgPool;
use tokio::time::Instant;

use self::{
    play::{Play, Step},
    waits::{LOOK, Waited, Waits},
};
use super::{Stage, check};
use crate::{
    cluster::{Deployment, Lines, Places, at},
    load::{Kind, Load, Pace, Record, Summary, seconds},
    release::{CONTRACTED, EXPANDED},
    say::say,
};

/// Photos from before, so that reading all rows takes its time.
const BEFORE: i64 = 100_000;
/// After so long without progress a release has failed.
const DEADLINE: Duration = Duration::from_secs(60);

/// Images of this release and the next ones.
struct Images {
    present: String,
    expanded: String,
    contracted: String,
    worker: String,
    next_worker: String,
}

pub(super) async fn run(stage: &mut Stage) -> Result<()> {
    let present = stage.cluster.image("irmgard").await?;
    let worker = stage.cluster.image("anonymizer").await?;
    let images = Images {
        expanded: EXPANDED.image(&present),
        contracted: CONTRACTED.image(&present),
        next_worker: EXPANDED.image(&worker),
        present,
        worker,
    };
    if !stage.cluster.settings().built {
        let project = stage.cluster.project().to_owned();
        tokio::task::spawn_blocking(move || {
            EXPANDED.build(&project)?;
            CONTRACTED.build(&project)
        })
        .await??;
    }
    // What an earlier run left has a schema that this release refuses.
    stage.cluster.empty().await?;
    stage.cluster.deploy(&first()).await?;
    let places = stage.cluster.places().await?;
    fill(&places.database).await?;

    let patience = stage.cluster.settings().patience;
    let pace = Pace::watching(stage.cluster.settings().photos_per_second);
    let load = Load::start(&places.web, "release", pace, patience).await?;
    let zero = Instant::now()
        .checked_sub(load.now())
        .unwrap_or_else(Instant::now);
    let waits = Waits::start(places.database.clone(), zero);
    let mut play = Play::new(stage, &places, &load);
    let played = async {
        web(&mut play, &images).await?;
        worker_release(&mut play, &images).await
    }
    .await;
    let steps = play.into_steps();
    let record = load.stop().await;
    tell(stage, &steps, &record, &waits);
    drop(waits);
    played?;
    check(stage, &places, &record, "through all releases").await?;
    rows(stage, &places.database).await?;
    lines(stage, &places, &record).await
}

/// The overlay with two of each. On an empty cluster all wait for the database, so that it has the time that the manifests give.
fn first() -> Deployment {
    Deployment::new("release")
        .replicas("irmgard", 2)
        .replicas("anonymizer", 2)
}

/// The same with little patience for a release that does not come.
fn deployment() -> Deployment {
    let operations = serde_json::json!([
        { "op": "replace", "path": "/spec/progressDeadlineSeconds", "value": DEADLINE.as_secs() },
    ]);
    first()
        .patch("Deployment", "irmgard", &operations)
        .patch("Deployment", "anonymizer", &operations)
}

/// Expand, migrate, contract; after each step but the last the one before it can serve.
async fn web(play: &mut Play<'_>, images: &Images) -> Result<()> {
    let (expanded, contracted) = (
        deployment().image(&images.present, &images.expanded),
        deployment().image(&images.present, &images.contracted),
    );
    play.calm("0.1.0 serves").await;

    let step = play.begin("expand: `irmgard migrate` of 0.2.0 while 0.1.0 serves");
    play.migrate(&expanded).await?;
    play.demand_schema("the column is there, and 0.1.0 serves", 2)
        .await?;
    play.end(step).await;

    let step = play.begin("irmgard 0.1.0 → 0.2.0");
    play.apply(&expanded, "web").await?;
    play.rolled("irmgard", "web", &images.expanded).await?;
    play.end(step).await;

    for (name, image) in [
        ("back: 0.2.0 → 0.1.0, on the new schema", &images.present),
        ("forth: 0.1.0 → 0.2.0", &images.expanded),
    ] {
        let step = play.begin(name);
        play.undo("irmgard").await?;
        play.rolled("irmgard", "web", image).await?;
        play.end(step).await;
    }

    let step = play.begin("bad: 0.3.0 before the rows were filled, so that its migration fails");
    play.forget_job().await?;
    play.apply(&contracted, "migrate").await?;
    play.apply(&contracted, "web").await?;
    play.stops("irmgard", "web", &images.expanded, 2, "0.3.0 without its schema")
        .await?;
    play.demand_schema("the migration that failed changed nothing", 2)
        .await?;
    // Or it tries again until the rows are filled, and succeeds then.
    play.forget_job().await?;
    play.undo("irmgard").await?;
    play.rolled("irmgard", "web", &images.expanded).await?;
    play.end(step).await;

    let step = play.begin("migrate: the rows from before get a value, 1000 ids at a time");
    play.backfill().await?;
    play.end(step).await;

    let step = play.begin("contract: `make deploy` of 0.3.0, migration and pods at once");
    play.stage.cluster.deploy(&contracted).await?;
    play.rolled("irmgard", "web", &images.contracted).await?;
    play.demand_schema("every row must have a value now", 3).await?;
    play.end(step).await;

    for (name, image) in [
        ("back: 0.3.0 → 0.2.0, on the new schema", &images.expanded),
        ("forth: 0.2.0 → 0.3.0", &images.contracted),
    ] {
        let step = play.begin(name);
        play.undo("irmgard").await?;
        play.rolled("irmgard", "web", image).await?;
        play.end(step).await;
    }

    let step = play.begin("bad: 0.1.0, two migrations behind");
    play.set_image("irmgard", &images.present).await?;
    play.stops(
        "irmgard",
        "web",
        &images.contracted,
        2,
        "0.1.0 on the contracted schema",
    )
    .await?;
    let codes = play.exit_codes("irmgard", &images.present).await?;
    play.stage.report.demand(
        "0.1.0 says that the schema is too new, and ends with 3",
        !codes.is_empty() && codes.iter().all(|code| *code == 3),
        format_args!("exit codes {codes:?}"),
    );
    play.undo("irmgard").await?;
    play.rolled("irmgard", "web", &images.contracted).await?;
    play.end(step).await;
    Ok(())
}

/// The worker's releases change no schema; what they must not do is to lose jobs.
async fn worker_release(play: &mut Play<'_>, images: &Images) -> Result<()> {
    // 0.3.0 of irmgard has no worker of its own.
    let next = deployment()
        .image(&images.present, &images.contracted)
        .image(&images.worker, &images.next_worker);
    let step = play.begin("anonymizer 0.1.0 → 0.2.0");
    play.apply(&next, "worker").await?;
    play.rolled("anonymizer", "worker", &images.next_worker).await?;
    play.end(step).await;

    let step = play.begin("back: anonymizer 0.2.0 → 0.1.0");
    play.undo("anonymizer").await?;
    play.rolled("anonymizer", "worker", &images.worker).await?;
    play.end(step).await;

    let step = play.begin("bad: an anonymizer whose configuration is wrong");
    play.set_variable("anonymizer", "SHUTDOWN_GRACE=soon").await?;
    // One goes before one comes: the other goes on.
    play.stops(
        "anonymizer",
        "worker",
        &images.worker,
        1,
        "a worker that does not start",
    )
    .await?;
    play.undo("anonymizer").await?;
    play.rolled("anonymizer", "worker", &images.worker).await?;
    play.end(step).await;
    Ok(())
}

/// Photos that were taken long ago.
async fn fill(database: &PgPool) -> Result<()> {
    say(format_args!("{BEFORE} photos from before"));
    sqlx::query(
        "insert into photo (project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256, output)
         select 'e2e-before', 'photo ' || n, 'anonymized', timestamptz '2020-01-01Z' + n * interval '1 s', 'client', 'image/jpeg',
                1000, 640, 480, sha256(n::text::bytea), 's3://output/none/' || n
           from generate_series(1, $1) as n",
    )
    .bind(BEFORE)
    .execute(database)
    .await
    .context("photos from before")?;
    Ok(())
}

fn tell(stage: &mut Stage, steps: &[Step], record: &Record, waits: &Waits) {
    let mut rows = Vec::new();
    for step in steps {
        let attempts = record.between(step.from, step.to);
        let failed: usize = Kind::ALL
            .iter()
            .map(|kind| Summary::of(*kind, &attempts).failures())
            .sum();
        let writes = Summary::of(Kind::Write, &attempts);
        let Waited { with, looks, longest } = waits.between(step.from, step.to);
        rows.push(vec![
            step.name.clone(),
            step.took.map_or("–".to_owned(), seconds),
            attempts.len().to_string(),
            failed.to_string(),
            seconds(writes.percentile(50.0)),
            seconds(writes.percentile(99.0)),
            seconds(writes.percentile(100.0)),
            format!("{with} of {looks}"),
            seconds(longest),
        ]);
    }
    let report = &mut stage.report;
    report.section("Steps");
    report.text(format_args!(
        "One load from the first step to the last, from outside. 0.1.0 is the tree as it is. 0.2.0 adds the column `photo.received_by` \
         and writes it, 0.3.0 makes it NOT NULL (e2e/release). Two pods each; the table has {BEFORE} rows from before. A step ends \
         when no pod of the other version is left; its requests are counted until some seconds later. A release has failed after {} \
         s without progress (the manifests say 180 and 300). Lock waits: `pg_locks` every {} ms, how often anybody waited, and for \
         how long at most.",
        DEADLINE.as_secs(),
        LOOK.as_millis()
    ));
    report.table(
        &[
            "step",
            "took",
            "requests",
            "failed",
            "posts p50",
            "p99",
            "longest",
            "looks with a lock wait",
            "longest lock wait",
        ],
        &rows,
    );
    report.section("All requests");
    let rows: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| super::row(kind.name(), &Summary::of(*kind, &record.attempts)))
        .collect();
    report.table(&super::REQUESTS, &rows);
    let failed: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| Summary::of(*kind, &record.attempts))
        .collect();
    let count: usize = failed.iter().map(Summary::failures).sum();
    let kinds: Vec<_> = failed.iter().map(Summary::failures_by_kind).collect();
    report.demand(
        "no request fails, in none of these steps",
        count == 0,
        format_args!("{count} of {} ({})", record.attempts.len(), kinds.join("; ")),
    );
    report.cannot_show(
        "A table of millions of rows: reading all of it for VALIDATE and filling the rows grow with it, and hold no lock that others \
         wait for; the two short locks do not grow.",
    );
    report.cannot_show(
        "A release while a transaction stays open for minutes: the migration's lock_timeout of 2 s ends its wait, and the Job tries \
         again.",
    );
}

/// What the rows say in the end.
async fn rows(stage: &mut Stage, database: &PgPool) -> Result<()> {
    let (nothing, unknown, instances): (i64, i64, i64) = sqlx::query_as(
        "select count(*) filter (where received_by is null), count(*) filter (where received_by = 'unknown'),
                count(distinct received_by) filter (where received_by <> 'unknown')
           from photo",
    )
    .fetch_one(database)
    .await?;
    stage.report.demand(
        "every photo says who took it; those of 0.1.0 that it is not known",
        nothing == 0 && unknown >= BEFORE && instances > 0,
        format_args!("{nothing} say nothing, {unknown} unknown, the others by {instances} pods"),
    );
    let times: Vec<(i64, i64)> =
        sqlx::query_as("select version, execution_time from _sqlx_migrations order by version")
            .fetch_all(database)
            .await?;
    let times: Vec<_> = times
        .into_iter()
        .map(|(version, nanoseconds)| {
            let took = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0));
            vec![version.to_string(), seconds(took)]
        })
        .collect();
    stage.report.section("The migrations' own time");
    stage.report.table(&["migration", "its statements took"], &times);
    Ok(())
}

/// How often a job was delivered more than once, and a photo was worked on again.
async fn lines(stage: &mut Stage, places: &Places, record: &Record) -> Result<()> {
    if stage.cluster.lines() == Lines::Pods {
        stage
            .report
            .cannot_show("How many jobs were given back and delivered again: the lines of pods that ended are gone without Fluentd.");
        return Ok(());
    }
    let since = record.began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let options = [
        "--component=anonymizer",
        "--field=photo.id exists",
        "--since",
        since.as_str(),
        "--output=jsonl",
    ];
    let shown = stage.cluster.logq(places, &options).await?;
    let (mut again, mut twice, mut done) = (0, 0, std::collections::BTreeSet::new());
    for line in shown.lines() {
        let line: serde_json::Value = serde_json::from_str(line).context("a line of logq is no JSON")?;
        let text = at(&line, "message").and_then(serde_json::Value::as_str);
        if !matches!(
            text,
            Some("anonymised a photo" | "the photo had been anonymised already")
        ) {
            continue;
        }
        let before = at(&line, "messaging.delivery_count").and_then(serde_json::Value::as_u64);
        again += usize::from(before.is_some_and(|before| before > 0));
        twice += usize::from(!done.insert(at(&line, "photo.id").and_then(serde_json::Value::as_i64)));
    }
    stage.report.section("Jobs");
    stage.report.text(format_args!(
        "{} photos were worked on, by their log lines; {again} jobs had been delivered before to a worker that ended, and {twice} \
         photos were done or answered a second time, which changes nothing: the result is the same.",
        done.len()
    ));
    Ok(())
}

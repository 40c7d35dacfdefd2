//! `anonymizer serve`: everything put together, and taken apart in order.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use chassis::{
    admin::{Admin, Dependency, Readiness},
    broker::{Consumer, Publisher},
    shutdown,
    store::Store,
};
use contract::FailureReason;
use imaging::detector::Detector;
use prometheus_client::registry::Registry;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    budget::Allowance,
    child::ChildProgram,
    consume::{Hold, Line},
    job::Worker,
    metrics::Metrics,
    settings::Settings,
    work::{Failure, Workbench},
};

/// The condition of `/readyz`: the worker takes jobs.
const STARTED: &str = "started";

/// Works until SIGTERM or SIGINT.
///
/// # Errors
/// When the worker cannot start, or must be replaced.
pub async fn serve(settings: Settings, detector: Detector, child: ChildProgram) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signals().context("installing signal handlers")?;
    let readiness = Readiness::new(&[STARTED]);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let bench = Workbench {
        detector: Arc::new(detector),
        settings: Arc::new(settings.photo.anonymize.clone()),
        allowance: Allowance::new(settings.budget.bytes),
        threads: Arc::new(Semaphore::new(settings.budget.threads.into())),
        large: Arc::new(Semaphore::new(1)),
        large_waiting: Arc::new(Semaphore::new(
            usize::from(settings.budget.concurrency).saturating_sub(2),
        )),
        child,
        metrics: metrics.clone(),
        time_limit: settings.photo_time_limit,
    };
    child_works(&bench).await?;
    let store = Store::new(settings.store.clone()).context("object store")?;
    let publisher = Publisher::start(settings.broker.clone());
    let hold = Hold::default();
    let worker = Arc::new(Worker {
        buckets: settings.buckets.clone(),
        store,
        publisher: publisher.clone(),
        queues: settings.broker.queues.clone(),
        bench,
        hold: hold.clone(),
        hold_limit: settings.hold_limit,
        shutdown: shutdown.clone(),
    });
    let concurrency = settings.budget.concurrency;
    let queue = settings.broker.queues.jobs.clone();
    let consumer = Consumer::subscribe(settings.broker.clone(), &queue, concurrency);
    report_dependencies(&readiness, &publisher, &consumer, &hold);

    let admin = Admin {
        registry,
        readiness: readiness.clone(),
    };
    let admin = admin
        .bind(settings.admin_listen)
        .await
        .with_context(|| format!("listening on {}", settings.admin_listen))?;
    let address = admin.local_addr()?;
    let admin_end = CancellationToken::new();
    let probes = tokio::spawn(admin.serve(admin_end.clone()));
    tracing::info!(
        admin = %address,
        server.port = address.port(),
        concurrency,
        memory_bytes = settings.budget.bytes,
        "anonymizer takes jobs"
    );
    readiness.set(STARTED, true);
    let draining = {
        let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
        tokio::spawn(async move {
            shutdown.cancelled().await;
            readiness.drain();
        })
    };
    let line = Line::new(worker, concurrency, metrics, settings.shutdown_grace, shutdown);
    let worked = line.run(consumer).await;
    publisher.close().await;
    draining.abort();
    admin_end.cancel();
    probes.await.context("admin port")?;
    tracing::info!("ended");
    Ok(worked?)
}

/// A child process must be able to start within its memory: that it cannot
/// would otherwise show only with the first suspect photo, and look like its
/// fault. No bytes are no photo, and a child in order says so.
async fn child_works(bench: &Workbench) -> anyhow::Result<()> {
    match bench.anonymize(0, Bytes::new(), true).await {
        Err(Failure::Refused { reason, .. }) if reason != FailureReason::ProcessCrashed => Ok(()),
        Err(Failure::Refused { detail, .. } | Failure::NotNow(detail) | Failure::Killed(detail)) => {
            anyhow::bail!("a child process does not work: {detail}")
        }
        Ok(_) | Err(Failure::Stuck | Failure::LargePhotoInWork) => {
            anyhow::bail!("a child process does not work")
        }
    }
}

fn report_dependencies(readiness: &Readiness, publisher: &Publisher, consumer: &Consumer, hold: &Hold) {
    let publishing = publisher.clone();
    readiness.report("rabbitmq-publisher", move || publishing.state().dependency());
    let consuming = consumer.watch();
    readiness.report("rabbitmq-consumer", move || consuming.borrow().dependency());
    let held = hold.watch();
    readiness.report("servers-of-jobs", move || {
        let count = *held.borrow();
        Dependency {
            available: count == 0,
            detail: if count == 0 {
                "no job waits for a server".to_owned()
            } else {
                format!("{count} jobs wait for a server; no more are taken")
            },
        }
    });
}

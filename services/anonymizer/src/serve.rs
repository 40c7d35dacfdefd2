//! `anonymizer serve`: starts all parts of the worker, and shuts them down in order.

use std::sync::Arc;

use anyhow::Context as _;
use bytes::Bytes;
use contract::FailureReason;
use imaging::detector::Detector;
use prometheus_client::registry::Registry;
use service_runtime::{
    admin::{Admin, DependencyState, Readiness},
    broker::{Consumer, Publisher},
    shutdown,
    store::Store,
};
use tokio_util::sync::CancellationToken;

use crate::{
    child::ChildProgram,
    consumer::JobConsumer,
    job::Worker,
    metrics::Metrics,
    photo_processor::{PhotoError, PhotoProcessor},
    retry::PauseGate,
    settings::WorkerSettings,
};

/// Condition of `/readyz`: the worker takes jobs.
const STARTED: &str = "started";

/// Processes jobs until SIGTERM or SIGINT.
///
/// # Errors
/// If the worker cannot start or must be replaced.
pub async fn serve(settings: WorkerSettings, detector: Detector, child: ChildProgram) -> anyhow::Result<()> {
    let shutdown = shutdown::on_signals().context("installing signal handlers")?;
    let readiness = Readiness::new(&[STARTED]);
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let processor = PhotoProcessor::new(
        detector,
        settings.photo.anonymize.clone(),
        &settings.capacity,
        child,
        metrics.clone(),
        settings.photo_time_limit,
    );
    check_child_process(&processor).await?;
    let store = Store::new(settings.store.clone()).context("object store")?;
    let publisher = Publisher::start(settings.broker.clone());
    let gate = PauseGate::default();
    let worker = Arc::new(Worker {
        buckets: settings.buckets.clone(),
        store,
        publisher: publisher.clone(),
        queues: settings.broker.queues.clone(),
        processor,
        gate: gate.clone(),
        hold_limit: settings.hold_limit,
        shutdown: shutdown.clone(),
    });
    let concurrency = settings.capacity.concurrency;
    let queue = settings.broker.queues.jobs.clone();
    let consumer = Consumer::subscribe(settings.broker.clone(), &queue, concurrency);
    report_dependencies(&readiness, &publisher, &consumer, &gate);

    let admin = Admin {
        registry,
        readiness: readiness.clone(),
    };
    let admin = admin
        .bind(settings.admin_listen)
        .await
        .with_context(|| format!("listening on {}", settings.admin_listen))?;
    let address = admin.local_addr()?;
    let admin_shutdown = CancellationToken::new();
    let admin_server = tokio::spawn(admin.serve(admin_shutdown.clone()));
    tracing::info!(
        admin = %address,
        server.port = address.port(),
        concurrency,
        memory_bytes = settings.capacity.memory_bytes,
        "anonymizer started"
    );
    readiness.set(STARTED, true);
    let draining = {
        let (readiness, shutdown) = (readiness.clone(), shutdown.clone());
        tokio::spawn(async move {
            shutdown.cancelled().await;
            readiness.drain();
        })
    };
    let job_consumer = JobConsumer::new(worker, concurrency, metrics, settings.shutdown_grace, shutdown);
    let result = job_consumer.run(consumer).await;
    publisher.close().await;
    draining.abort();
    admin_shutdown.cancel();
    admin_server.await.context("admin port")?;
    tracing::info!("anonymizer stopped");
    Ok(result?)
}

/// Checks that a child process can start within its memory limit. Otherwise the first suspect photo would find the
/// problem and be blamed for it. The child gets no bytes: a child that works refuses them as a photo.
async fn check_child_process(processor: &PhotoProcessor) -> anyhow::Result<()> {
    match processor.anonymize(0, Bytes::new(), true).await {
        Err(PhotoError::Refused { reason, .. }) if reason != FailureReason::ProcessCrashed => Ok(()),
        Err(
            PhotoError::Refused { detail, .. } | PhotoError::NotReady(detail) | PhotoError::Killed(detail),
        ) => {
            anyhow::bail!("a child process does not work: {detail}")
        }
        Ok(_) | Err(PhotoError::Stuck | PhotoError::LargePhotoInWork) => {
            anyhow::bail!("a child process does not work: it did not refuse an empty photo")
        }
    }
}

fn report_dependencies(readiness: &Readiness, publisher: &Publisher, consumer: &Consumer, gate: &PauseGate) {
    let publisher = publisher.clone();
    readiness.report("rabbitmq-publisher", move || publisher.state().dependency());
    let consumer_state = consumer.watch();
    readiness.report("rabbitmq-consumer", move || consumer_state.borrow().dependency());
    let waiting = gate.waiting_jobs();
    readiness.report("job-dependencies", move || {
        let count = *waiting.borrow();
        DependencyState {
            available: count == 0,
            detail: if count == 0 {
                "no job waits".to_owned()
            } else {
                format!("{count} jobs wait to retry a step; the consumer is paused")
            },
        }
    });
}

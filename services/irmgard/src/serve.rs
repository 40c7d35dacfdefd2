//! `irmgard serve`: starts all components, serves requests and shuts down in order.

use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};

use anyhow::{Context, bail};
use prometheus_client::registry::Registry;
use service_runtime::{
    admin::{Admin, BoundAdmin, Readiness},
    broker::{Consumer, Publisher},
    http, shutdown,
    store::Store,
};
use tokio::{
    net::TcpListener,
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{self, ApiDependencies},
    database::{Database, SchemaState, wait_for_schema},
    metrics::Metrics,
    monitor::{DependencyMonitor, Health},
    outbox::{self, Relay},
    reconcile::Reconciler,
    results::{PREFETCH, ResultsConsumer, VerdictSource},
    settings::ServeSettings,
    sweep,
};

/// Readiness condition: the schema fits this program.
const SCHEMA_CONDITION: &str = "schema";

/// Serves until SIGTERM or SIGINT.
///
/// The process starts even if PostgreSQL, RabbitMQ or the object store is down, or if the schema is not
/// migrated yet. It becomes ready once it finds a schema that fits.
///
/// # Errors
/// An address cannot be bound, or the schema is too new.
pub async fn serve(settings: ServeSettings) -> anyhow::Result<()> {
    let stop = shutdown::on_signals().context("signal handlers")?;
    RunningService::build(settings).await?.run(stop).await
}

/// All components of the running service.
struct RunningService {
    settings: ServeSettings,
    database: Database,
    publisher: Publisher,
    wake_relay: Arc<Notify>,
    metrics: Metrics,
    monitor: DependencyMonitor,
    readiness: Readiness,
    /// Work of uploads that continues after the response.
    uploads: TaskTracker,
    listener: TcpListener,
    router: axum::Router,
    admin: BoundAdmin,
}

impl RunningService {
    async fn build(settings: ServeSettings) -> anyhow::Result<Self> {
        let database = Database::connect_lazily(&settings.database);
        let publisher = Publisher::start(settings.broker.clone());
        let wake_relay = Arc::new(Notify::new());
        let store = Store::new(settings.store.clone())?;

        let mut registry = Registry::default();
        let metrics = Metrics::default();
        metrics.register(&mut registry);

        let readiness = Readiness::new(&[SCHEMA_CONDITION]);
        let monitor = DependencyMonitor {
            database: database.clone(),
            store: store.clone(),
            metrics: metrics.clone(),
            outbox: Mutex::new(outbox::AgeWarning::new(settings.outbox_age)),
            sweep: Mutex::new(sweep::SweepWarning::new(settings.sweep_age)),
            schema_exists: Arc::default(),
            database_health: Health::default(),
            store_health: Health::default(),
        };
        let health = monitor.database_health.clone();
        readiness.report("postgres", move || health.dependency());
        let health = monitor.store_health.clone();
        readiness.report("object-store", move || health.dependency());
        let publisher_link = publisher.clone();
        readiness.report("rabbitmq", move || publisher_link.state().dependency());

        let uploads = TaskTracker::new();
        let dependencies = ApiDependencies {
            database: database.clone(),
            database_timeout: settings.database_timeout,
            store: store.clone(),
            breaker: settings.breaker,
            upload: settings.upload.clone(),
            tokens: settings.tokens.clone(),
            trusted_proxies: settings.trusted_proxies.clone(),
            relay: Arc::clone(&wake_relay),
            tasks: uploads.clone(),
        };
        let router = api::router(dependencies, &mut registry);
        let listener = TcpListener::bind(settings.listen)
            .await
            .with_context(|| format!("LISTEN: cannot listen on {}", settings.listen))?;
        let admin = Admin {
            registry,
            readiness: readiness.clone(),
        };
        let admin = admin
            .bind(settings.admin_listen)
            .await
            .with_context(|| format!("ADMIN_LISTEN: cannot listen on {}", settings.admin_listen))?;
        Ok(Self {
            settings,
            database,
            publisher,
            wake_relay,
            metrics,
            monitor,
            readiness,
            uploads,
            listener,
            router,
            admin,
        })
    }

    async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let Self {
            settings,
            database,
            publisher,
            wake_relay,
            metrics,
            monitor,
            readiness,
            uploads,
            listener,
            router,
            admin,
        } = self;
        let (api_end, background_end, admin_end) = (
            CancellationToken::new(),
            CancellationToken::new(),
            CancellationToken::new(),
        );
        tracing::info!(
            address = %listener.local_addr()?,
            admin = %admin.local_addr()?,
            "irmgard started"
        );
        let admin = tokio::spawn(admin.serve(admin_end.clone()));
        let mut api = tokio::spawn(http::serve(listener, router, settings.http, api_end.clone()));
        let mut background = JoinSet::new();
        let schema = Arc::clone(&monitor.schema_exists);
        background.spawn(settings.tokens.clone().reload_on_change(background_end.clone()));
        background.spawn(monitor.run(background_end.clone()));
        let background_work = BackgroundWork {
            settings: &settings,
            database: &database,
            publisher: &publisher,
            wake_relay: &wake_relay,
            metrics: &metrics,
            end: &background_end,
        };

        tokio::select! {
            () = stop.cancelled() => {}
            state = wait_for_schema(&database) => {
                if state? == SchemaState::NewerByOne {
                    tracing::warn!("the database's schema is one migration ahead of this program");
                }
                schema.store(true, Ordering::Relaxed);
                readiness.set(SCHEMA_CONDITION, true);
                background_work.start(&mut background);
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            ended = &mut api => bail!("the web service stopped unexpectedly: {ended:?}"),
            ended = background.join_next() => bail!("a background task stopped unexpectedly: {ended:?}"),
        }

        readiness.drain();
        let deadline = Instant::now() + settings.shutdown_grace;
        sleep(settings.drain_delay.min(settings.shutdown_grace)).await;
        api_end.cancel();
        uploads.close();
        let answered = timeout_at(deadline, async {
            let _ = api.await;
            uploads.wait().await;
        });
        if answered.await.is_err() {
            tracing::warn!("requests took longer than SHUTDOWN_GRACE and were cut off");
        }
        // Publish the jobs of the last requests, if that is quick.
        background_end.cancel();
        let ended = timeout_at(deadline, async {
            while background.join_next().await.is_some() {}
        })
        .await;
        if ended.is_err() {
            tracing::warn!("background tasks took longer than SHUTDOWN_GRACE and were cut off");
        }
        publisher.close().await;
        // A database that does not answer must not delay the shutdown.
        let _ = tokio::time::timeout(Duration::from_secs(1), database.close()).await;
        admin_end.cancel();
        let _ = admin.await;
        tracing::info!("irmgard stopped");
        Ok(())
    }
}

/// Starts the tasks that run beside the requests.
struct BackgroundWork<'a> {
    settings: &'a ServeSettings,
    database: &'a Database,
    publisher: &'a Publisher,
    wake_relay: &'a Arc<Notify>,
    metrics: &'a Metrics,
    end: &'a CancellationToken,
}

impl BackgroundWork<'_> {
    fn start(&self, tasks: &mut JoinSet<()>) {
        let relay = Relay::new(
            self.database.relay().clone(),
            self.database.commit_guard().clone(),
            self.publisher.clone(),
            Arc::clone(self.wake_relay),
            self.settings.relay.clone(),
            self.metrics.relay.clone(),
        );
        tasks.spawn(relay.run(self.end.clone()));
        let reconciler = Reconciler::new(
            self.database.background().clone(),
            self.database.commit_guard().clone(),
            self.publisher.clone(),
            Arc::clone(self.wake_relay),
            self.settings.reconcile.clone(),
            self.metrics.clone(),
        );
        tasks.spawn(reconciler.run(self.end.clone()));
        let queues = &self.settings.broker.queues;
        for (inbox, queue) in [
            (VerdictSource::Results, &queues.results),
            (VerdictSource::DeadLetters, &queues.dead),
        ] {
            let consumer = Consumer::subscribe(self.settings.broker.clone(), queue, PREFETCH);
            let results = ResultsConsumer::new(
                self.database.background().clone(),
                self.database.commit_guard().clone(),
                self.publisher.clone(),
                self.settings.store.output_bucket.clone(),
                queues.parked.clone(),
                inbox,
                self.metrics.results.clone(),
            );
            tasks.spawn(results.run(consumer, self.end.clone()));
        }
    }
}

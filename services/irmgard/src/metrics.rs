//! What irmgard tells Prometheus about its background work.

use std::sync::atomic::AtomicU64;

use chassis::broker::PublishError;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use crate::sweep::NewestRun;

/// A label that says what became of something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// A label that names a pool of connections and the connections' state.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolState {
    pool: &'static str,
    state: &'static str,
}

/// A label that names a kind of what `irmgard sweep` finds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfKind {
    kind: String,
}

type ByOutcome = Family<Outcome, Counter>;

/// Everything that the background work counts.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// Jobs published by the relay.
    pub relay: RelayMetrics,
    /// Verdicts on photos.
    pub results: ResultMetrics,
    /// The outbox as it is.
    pub outbox: OutboxMetrics,
    /// The newest scheduled run of `irmgard sweep`.
    pub sweep: SweepMetrics,
    /// Photos queued again by the reconciler.
    pub reconciled: Counter,
    pools: Family<PoolState, Gauge>,
}

impl Metrics {
    /// Makes them part of what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "irmgard_relay_jobs",
            "Outbox rows that the relay tried to publish, by outcome",
            self.relay.jobs.clone(),
        );
        registry.register(
            "irmgard_results",
            "Result messages and dead letters, by outcome",
            self.results.messages.clone(),
        );
        registry.register(
            "irmgard_outbox_rows",
            "Jobs in the outbox, not yet confirmed by the broker",
            self.outbox.rows.clone(),
        );
        registry.register(
            "irmgard_outbox_oldest_age_seconds",
            "Age of the oldest job in the outbox; 0 when it is empty",
            self.outbox.oldest_age_seconds.clone(),
        );
        registry.register(
            "irmgard_sweep_last_run_timestamp_seconds",
            "When irmgard sweep ran last, seconds since 1970; 0: never",
            self.sweep.last_run.clone(),
        );
        registry.register(
            "irmgard_sweep_failed",
            "1 where the last run of irmgard sweep deleted nothing, or not everything",
            self.sweep.failed.clone(),
        );
        registry.register(
            "irmgard_sweep_left_over_objects",
            "What the last run of irmgard sweep found in the buckets and left there, by kind",
            self.sweep.left_over.clone(),
        );
        registry.register(
            "irmgard_reconciled_photos",
            "Photos that were queued again because their job was lost",
            self.reconciled.clone(),
        );
        registry.register(
            "irmgard_database_connections",
            "Connections to PostgreSQL, by pool and state",
            self.pools.clone(),
        );
    }

    /// Notes how a pool stands.
    pub fn pool(&self, name: &'static str, pool: &crate::database::Pool) {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        let gauge = |state| self.pools.get_or_create_owned(&PoolState { pool: name, state });
        gauge("idle").set(idle);
        gauge("in_use").set((i64::from(pool.size()) - idle).max(0));
    }
}

/// What the relay counts.
#[derive(Clone, Debug, Default)]
pub struct RelayMetrics {
    jobs: ByOutcome,
}

impl RelayMetrics {
    /// The broker has confirmed a job.
    pub fn published(&self) {
        self.count("published");
    }

    /// The broker has not.
    pub fn refused(&self, error: &PublishError) {
        self.count(match error {
            PublishError::Disconnected => "disconnected",
            PublishError::Blocked => "blocked",
            PublishError::Returned(_) => "returned",
            PublishError::Nacked => "nacked",
            PublishError::TimedOut(_) => "timed_out",
        });
    }

    fn count(&self, outcome: &'static str) {
        self.jobs.get_or_create(&Outcome { outcome }).inc();
    }
}

/// What the consumers of verdicts count.
#[derive(Clone, Debug, Default)]
pub struct ResultMetrics {
    messages: ByOutcome,
}

impl ResultMetrics {
    /// What became of one message: `anonymized`, `failed`, `repeated`,
    /// `parked`.
    pub fn count(&self, outcome: &'static str) {
        self.messages.get_or_create(&Outcome { outcome }).inc();
    }
}

/// The outbox as it was when last looked at.
#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    /// Rows.
    pub rows: Gauge,
    /// Age of the oldest, seconds.
    pub oldest_age_seconds: Gauge<f64, AtomicU64>,
}

/// The newest scheduled run of `irmgard sweep`, as it was when last looked at.
#[derive(Clone, Debug, Default)]
pub struct SweepMetrics {
    last_run: Gauge<f64, AtomicU64>,
    failed: Gauge,
    left_over: Family<OfKind, Gauge>,
}

impl SweepMetrics {
    /// Takes the newest run.
    pub fn saw(&self, run: &NewestRun) {
        self.last_run.set(run.at.unwrap_or(0.0));
        self.failed.set(run.error.is_some().into());
        // A kind of which nothing is left has no series.
        self.left_over.clear();
        for (kind, count) in run.left_over.iter() {
            let kind = OfKind { kind: kind.clone() };
            self.left_over.get_or_create(&kind).set(*count);
        }
    }
}

//! Prometheus metrics of the background work.

use std::{collections::BTreeMap, sync::atomic::AtomicU64};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};
use service_runtime::broker::PublishError;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    pool: &'static str,
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: String,
}

type ByOutcome = Family<OutcomeLabel, Counter>;

#[derive(Clone, Debug, Default)]
pub struct Metrics {
    pub relay: RelayMetrics,
    pub results: ResultMetrics,
    pub outbox: OutboxMetrics,
    pub sweep: SweepMetrics,
    pub reconciled: Counter,
    pools: Family<PoolLabels, Gauge>,
}

impl Metrics {
    /// Registers all metrics, so that `/metrics` shows them.
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
            "Time of the last irmgard sweep, seconds since 1970; 0: never",
            self.sweep.last_run.clone(),
        );
        registry.register(
            "irmgard_sweep_failed",
            "1 if the last irmgard sweep deleted nothing, or not everything",
            self.sweep.failed.clone(),
        );
        registry.register(
            "irmgard_sweep_left_over_objects",
            "Objects that the last irmgard sweep found and did not delete, by kind",
            self.sweep.left_over.clone(),
        );
        registry.register(
            "irmgard_reconciled_photos",
            "Photos queued again because their job was lost",
            self.reconciled.clone(),
        );
        registry.register(
            "irmgard_database_connections",
            "Connections to PostgreSQL, by pool and state",
            self.pools.clone(),
        );
    }

    /// Records the connections of a pool.
    pub fn pool(&self, name: &'static str, pool: &crate::database::Pool) {
        let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
        let gauge = |state| self.pools.get_or_create_owned(&PoolLabels { pool: name, state });
        gauge("idle").set(idle);
        gauge("in_use").set((i64::from(pool.size()) - idle).max(0));
    }
}

#[derive(Clone, Debug, Default)]
pub struct RelayMetrics {
    jobs: ByOutcome,
}

impl RelayMetrics {
    /// Counts a job that the broker confirmed.
    pub fn published(&self) {
        self.count("published");
    }

    /// Counts a job that the broker did not confirm.
    pub fn refused(&self, error: &PublishError) {
        self.count(match error {
            PublishError::Disconnected => "disconnected",
            PublishError::Blocked => "blocked",
            PublishError::QueueUnavailable { .. } => "returned",
            PublishError::Nacked => "nacked",
            PublishError::TimedOut(_) => "timed_out",
        });
    }

    fn count(&self, outcome: &'static str) {
        self.jobs.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

#[derive(Clone, Debug, Default)]
pub struct ResultMetrics {
    messages: ByOutcome,
}

impl ResultMetrics {
    /// Counts one message by outcome: `anonymized`, `failed`, `repeated` or `parked`.
    pub fn count(&self, outcome: &'static str) {
        self.messages.get_or_create(&OutcomeLabel { outcome }).inc();
    }
}

#[derive(Clone, Debug, Default)]
pub struct OutboxMetrics {
    pub rows: Gauge,
    pub oldest_age_seconds: Gauge<f64, AtomicU64>,
}

#[derive(Clone, Debug, Default)]
pub struct SweepMetrics {
    last_run: Gauge<f64, AtomicU64>,
    failed: Gauge,
    left_over: Family<KindLabel, Gauge>,
}

impl SweepMetrics {
    /// Records the latest run: its time, whether it failed, and the remaining objects by kind.
    pub fn record(&self, at: Option<f64>, has_failed: bool, left_over: &BTreeMap<String, i64>) {
        self.last_run.set(at.unwrap_or(0.0));
        self.failed.set(has_failed.into());
        // A kind without objects has no series.
        self.left_over.clear();
        for (kind, count) in left_over {
            let kind = KindLabel { kind: kind.clone() };
            self.left_over.get_or_create(&kind).set(*count);
        }
    }
}

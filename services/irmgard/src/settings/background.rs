//! Environment variables of the background work.

use std::time::Duration;

use service_runtime::{broker::BrokerSettings, settings::SettingsReader, store::StoreSettings};

use super::at_least;
use crate::{outbox::RelaySettings, reconcile::ReconcileSettings};

pub(super) fn relay(
    reader: &mut SettingsReader<'_>,
    broker: &BrokerSettings,
    store: &StoreSettings,
) -> RelaySettings {
    let lease = reader.duration(
        "RELAY_LEASE",
        Duration::from_secs(30),
        "lease time of outbox rows: jobs of a process that died are published by another one after this time",
    );
    if lease < 2 * broker.publish_timeout {
        reader.add_error(
            "RELAY_LEASE",
            "is too short: use at least twice RABBITMQ_PUBLISH_TIMEOUT, or two processes publish the same job",
        );
    }
    RelaySettings {
        jobs_queue: broker.queues.jobs.clone(),
        output_bucket: store.output_bucket.clone(),
        batch: at_least(
            reader,
            1,
            "RELAY_BATCH",
            128,
            "maximum number of jobs leased at once",
        ),
        lease,
        interval: reader.duration(
            "RELAY_INTERVAL",
            Duration::from_secs(1),
            "how often to check the outbox, in addition to the check after each upload",
        ),
    }
}

pub(super) fn outbox_age(reader: &mut SettingsReader<'_>) -> Duration {
    positive(
        reader,
        "OUTBOX_WARN_AGE",
        Duration::from_secs(60),
        "a warning per minute is logged while the oldest job in the outbox is older than this",
    )
}

pub(super) fn sweep_age(reader: &mut SettingsReader<'_>) -> Duration {
    reader.duration(
        "SWEEP_WARN_AGE",
        Duration::ZERO,
        "a warning per hour is logged when the last `irmgard sweep --scheduled` is longer ago than this; 0 if no \
         schedule is expected",
    )
}

pub(super) fn reconcile(reader: &mut SettingsReader<'_>, broker: &BrokerSettings) -> ReconcileSettings {
    ReconcileSettings {
        interval: positive(
            reader,
            "RECONCILE_INTERVAL",
            Duration::from_secs(60),
            "how often to queue lost photos again and to log uses of `irmgard failed`",
        ),
        after: reader.duration(
            "RECONCILE_AFTER",
            Duration::from_secs(15 * 60),
            "a photo that is queued for longer counts as lost if the queue is empty or later photos are done, and is \
             queued again; must exceed the workers' `HOLD_LIMIT`",
        ),
        idempotency_key_age: reader.duration(
            "IDEMPOTENCY_KEY_AGE",
            Duration::from_secs(7 * 24 * 3600),
            "how long to remember an `Idempotency-Key`",
        ),
        queues: broker.queues.clone(),
    }
}

fn positive(reader: &mut SettingsReader<'_>, name: &str, default: Duration, about: &str) -> Duration {
    let value = reader.duration(name, default, about);
    if value.is_zero() {
        reader.add_error(name, "must not be zero");
        return default;
    }
    value
}

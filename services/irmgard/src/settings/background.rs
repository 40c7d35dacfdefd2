//! The variables of the work behind the requests.

use std::time::Duration;

use chassis::{broker::BrokerSettings, settings::Reader, store::StoreSettings};

use super::at_least;
use crate::{outbox::RelaySettings, reconcile::ReconcileSettings};

pub(super) fn relay(
    reader: &mut Reader<'_>,
    broker: &BrokerSettings,
    store: &StoreSettings,
) -> RelaySettings {
    let lease = reader.duration(
        "RELAY_LEASE",
        Duration::from_secs(30),
        "how long jobs are one irmgard's to publish; those of one that died are published by another then",
    );
    if lease < 2 * broker.publish_timeout {
        reader.mistake(
            "RELAY_LEASE",
            "is too short: at least twice RABBITMQ_PUBLISH_TIMEOUT, or jobs are published by two",
        );
    }
    RelaySettings {
        jobs_queue: broker.queues.jobs.clone(),
        output_bucket: store.output_bucket.clone(),
        batch: at_least(reader, 1, "RELAY_BATCH", 128, "jobs that are leased at a time"),
        lease,
        interval: reader.duration(
            "RELAY_INTERVAL",
            Duration::from_secs(1),
            "how often the outbox is looked at, beside at once after each upload",
        ),
    }
}

pub(super) fn outbox_age(reader: &mut Reader<'_>) -> Duration {
    positive(
        reader,
        "OUTBOX_WARN_AGE",
        Duration::from_secs(60),
        "how long jobs may wait in the outbox before a line a minute tells of it",
    )
}

pub(super) fn sweep_age(reader: &mut Reader<'_>) -> Duration {
    reader.duration(
        "SWEEP_WARN_AGE",
        Duration::ZERO,
        "how long ago `irmgard sweep --scheduled` may have run before a line an hour tells of it; 0 where nobody \
         schedules it",
    )
}

pub(super) fn reconcile(reader: &mut Reader<'_>, broker: &BrokerSettings) -> ReconcileSettings {
    ReconcileSettings {
        interval: positive(
            reader,
            "RECONCILE_INTERVAL",
            Duration::from_secs(60),
            "how often lost photos are looked for, and what `irmgard failed` did is logged",
        ),
        after: reader.duration(
            "RECONCILE_AFTER",
            Duration::from_secs(15 * 60),
            "a photo that has been queued for longer, while no message waits or later ones are done, is queued \
             again; more than the workers' `HOLD_LIMIT`",
        ),
        idempotency_key_age: reader.duration(
            "IDEMPOTENCY_KEY_AGE",
            Duration::from_secs(7 * 24 * 3600),
            "how long an `Idempotency-Key` is remembered",
        ),
        queues: broker.queues.clone(),
    }
}

fn positive(reader: &mut Reader<'_>, name: &str, default: Duration, about: &str) -> Duration {
    let value = reader.duration(name, default, about);
    if value.is_zero() {
        reader.mistake(name, "must not be zero");
        return default;
    }
    value
}

//! What the environment says, one typed struct per command.

mod background;
mod database;
mod requests;

use std::{net::SocketAddr, time::Duration};

use chassis::{
    broker::BrokerSettings,
    http::Limits,
    settings::{Environment, Mistakes, Reader, Variable},
    store::StoreSettings,
};

use self::{
    background::{outbox_age, reconcile, relay, sweep_age},
    database::{database, database_of},
    requests::{breaker, http, tokens, trusted_proxies, upload},
};
use crate::{
    api::{Tokens, TrustedProxies},
    breaker::BreakerSettings,
    database::DatabaseSettings,
    outbox::RelaySettings,
    reconcile::ReconcileSettings,
    upload::UploadSettings,
};

/// How long the object store may keep a camera, or a person at a terminal,
/// waiting for an answer.
const STORE_ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

/// All settings of `irmgard serve`.
#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Where cameras and people are answered.
    pub listen: SocketAddr,
    /// Where probes and metrics are answered.
    pub admin_listen: SocketAddr,
    /// What clients can hold of the web service.
    pub http: Limits,
    /// PostgreSQL.
    pub database: DatabaseSettings,
    /// How long all of a request's work in the database may take.
    pub database_timeout: Duration,
    /// RabbitMQ.
    pub broker: BrokerSettings,
    /// The object store.
    pub store: StoreSettings,
    /// When a server that does not answer is no longer asked by every request.
    pub breaker: BreakerSettings,
    /// Limits of uploads.
    pub upload: UploadSettings,
    /// Who may do what.
    pub tokens: Tokens,
    /// Who may say for whom a request comes.
    pub trusted_proxies: TrustedProxies,
    /// The relay.
    pub relay: RelaySettings,
    /// How long jobs may wait in the outbox before a line tells of it.
    pub outbox_age: Duration,
    /// How long ago `irmgard sweep` may have run before a line tells of it; zero: for ever.
    pub sweep_age: Duration,
    /// The reconciler.
    pub reconcile: ReconcileSettings,
    /// How long requests and background work may go on after SIGTERM.
    pub shutdown_grace: Duration,
    /// How long new connections are still taken after SIGTERM, while the
    /// readiness probe already says no.
    pub drain_delay: Duration,
}

/// All settings of `irmgard migrate`.
#[derive(Clone, Debug)]
pub struct MigrateSettings {
    /// PostgreSQL, as the role that may change the schema.
    pub database: DatabaseSettings,
    /// The role that serves, which is granted what it needs and no more.
    pub runtime_role: Option<String>,
}

/// All settings of the commands for people: `irmgard sweep`, `irmgard failed`.
#[derive(Clone, Debug)]
pub struct ToolSettings {
    /// PostgreSQL.
    pub database: DatabaseSettings,
    /// The object store.
    pub store: StoreSettings,
}

impl ServeSettings {
    /// Reads everything.
    ///
    /// # Errors
    /// All mistakes together.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, Mistakes> {
        read(environment, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let listen = reader.parsed(
            "LISTEN",
            SocketAddr::from(([0, 0, 0, 0], 8080)),
            "address of the web service",
        );
        let admin_listen = reader.parsed(
            "ADMIN_LISTEN",
            SocketAddr::from(([0, 0, 0, 0], 9090)),
            "address of probes and metrics",
        );
        if listen == admin_listen && listen.port() != 0 {
            reader.mistake(
                "ADMIN_LISTEN",
                "is the same as LISTEN: probes have a port of their own",
            );
        }
        let http = http(reader);
        let database = database(reader);
        let database_timeout = reader.duration(
            "POSTGRES_TIMEOUT",
            Duration::from_millis(1500),
            "how long all of a request's work in PostgreSQL may take before the answer is 503",
        );
        let broker = BrokerSettings::read(reader, "irmgard");
        let store = StoreSettings::read(reader, STORE_ANSWER_TIMEOUT);
        let upload = upload(reader, store.answer_timeout);
        let relay = relay(reader, &broker, &store);
        let outbox_age = outbox_age(reader);
        let reconcile = reconcile(reader, &broker);
        Self {
            listen,
            admin_listen,
            http,
            database,
            database_timeout,
            breaker: breaker(reader),
            upload,
            tokens: tokens(reader),
            trusted_proxies: trusted_proxies(reader),
            relay,
            outbox_age,
            sweep_age: sweep_age(reader),
            reconcile,
            shutdown_grace: reader.duration(
                "SHUTDOWN_GRACE",
                Duration::from_secs(25),
                "how long requests and background work may go on after SIGTERM; below the pod's \
                 terminationGracePeriodSeconds",
            ),
            drain_delay: reader.duration(
                "DRAIN_DELAY",
                Duration::ZERO,
                "how long connections are still taken after SIGTERM, while the readiness probe says no: for \
                 load balancers that hear of it late; part of `SHUTDOWN_GRACE`",
            ),
            broker,
            store,
        }
    }
}

impl MigrateSettings {
    /// Reads everything.
    ///
    /// # Errors
    /// All mistakes together.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, Mistakes> {
        read(environment, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        let username = reader.optional(
            "POSTGRES_MIGRATE_USERNAME",
            "role of `irmgard migrate`, owner of the tables; `POSTGRES_USERNAME` if not set",
        );
        let password = reader.secret_optional(
            "POSTGRES_MIGRATE_PASSWORD",
            "password of `POSTGRES_MIGRATE_USERNAME`",
        );
        let runtime_role = reader.optional(
            "POSTGRES_RUNTIME_ROLE",
            "role of `irmgard serve`, which `irmgard migrate` allows to read and write rows and nothing else",
        );
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            _ => {
                reader.mistake(
                    "POSTGRES_MIGRATE_USERNAME",
                    "goes with POSTGRES_MIGRATE_PASSWORD: set both or neither",
                );
                None
            }
        };
        Self {
            database: database_of(reader, credentials),
            runtime_role,
        }
    }
}

impl ToolSettings {
    /// Reads everything.
    ///
    /// # Errors
    /// All mistakes together.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, Mistakes> {
        read(environment, Self::read)
    }

    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            database: database(reader),
            store: StoreSettings::read(reader, STORE_ANSWER_TIMEOUT),
        }
    }
}

/// Every variable that any command of this program reads.
#[must_use]
pub fn document() -> Vec<Variable> {
    let nothing = std::collections::BTreeMap::<String, String>::new();
    let mut reader = Reader::new(&nothing);
    ServeSettings::read(&mut reader);
    MigrateSettings::read(&mut reader);
    ToolSettings::read(&mut reader);
    reader.documentation().to_vec()
}

fn read<T>(environment: &dyn Environment, read: impl FnOnce(&mut Reader<'_>) -> T) -> Result<T, Mistakes> {
    let mut reader = Reader::new(environment);
    let settings = read(&mut reader);
    reader.finish()?;
    Ok(settings)
}

fn at_least<T>(reader: &mut Reader<'_>, least: T, name: &str, default: T, about: &str) -> T
where
    T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display + PartialOrd + Copy + 'static,
{
    let value = reader.parsed(name, default, about);
    if value < least {
        reader.mistake(name, format!("is too small: at least {least}"));
    }
    value
}

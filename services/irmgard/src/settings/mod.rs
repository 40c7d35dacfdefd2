//! Settings from the environment: one typed struct per command.

mod background;
mod database;
mod requests;

use std::{net::SocketAddr, time::Duration};

use service_runtime::{
    broker::BrokerSettings,
    http::ServerLimits,
    settings::{Environment, SettingsErrors, SettingsReader, Variable},
    store::StoreSettings,
};

use self::{
    background::{outbox_age, reconcile, relay, sweep_age},
    database::{database, database_with_credentials},
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

/// Default limit for an answer of the object store: a camera or a person waits for it.
const STORE_ANSWER_TIMEOUT: Duration = Duration::from_millis(1500);

#[derive(Clone, Debug)]
pub struct ServeSettings {
    /// Address of the web service.
    pub listen: SocketAddr,
    /// Address of probes and metrics.
    pub admin_listen: SocketAddr,
    /// Limits on connections and headers.
    pub http: ServerLimits,
    pub database: DatabaseSettings,
    /// How long a request's work in the database may take.
    pub database_timeout: Duration,
    pub broker: BrokerSettings,
    pub store: StoreSettings,
    pub breaker: BreakerSettings,
    pub upload: UploadSettings,
    pub tokens: Tokens,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    pub relay: RelaySettings,
    /// Maximum age of a job in the outbox before a warning.
    pub outbox_age: Duration,
    /// Maximum time since the last sweep before a warning; zero: no warning.
    pub sweep_age: Duration,
    pub reconcile: ReconcileSettings,
    /// How long requests and background work may continue after SIGTERM.
    pub shutdown_grace: Duration,
    /// How long new connections are accepted after SIGTERM, while the readiness probe already fails.
    pub drain_delay: Duration,
}

#[derive(Clone, Debug)]
pub struct MigrateSettings {
    /// PostgreSQL, with the role that may change the schema.
    pub database: DatabaseSettings,
    /// Role of `irmgard serve`, which gets the rights that it needs.
    pub runtime_role: Option<String>,
}

/// Settings of the commands for people: `irmgard sweep`, `irmgard bind`, `irmgard failed`.
#[derive(Clone, Debug)]
pub struct ToolSettings {
    pub database: DatabaseSettings,
    pub store: StoreSettings,
}

impl ServeSettings {
    /// # Errors
    /// All errors at once.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, SettingsErrors> {
        read(environment, Self::read)
    }

    fn read(reader: &mut SettingsReader<'_>) -> Self {
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
            reader.add_error(
                "ADMIN_LISTEN",
                "is the same as LISTEN: probes need a port of their own",
            );
        }
        let http = http(reader);
        let database = database(reader);
        let database_timeout = reader.duration(
            "POSTGRES_TIMEOUT",
            Duration::from_millis(1500),
            "time limit of a request's work in PostgreSQL; after it the response is 503",
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
                "how long requests and background work may continue after SIGTERM; must be shorter than the pod's \
                 terminationGracePeriodSeconds",
            ),
            drain_delay: reader.duration(
                "DRAIN_DELAY",
                Duration::ZERO,
                "how long to accept connections after SIGTERM while the readiness probe already fails, for load balancers \
                 that react late; part of `SHUTDOWN_GRACE`",
            ),
            broker,
            store,
        }
    }
}

impl MigrateSettings {
    /// # Errors
    /// All errors at once.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, SettingsErrors> {
        read(environment, Self::read)
    }

    fn read(reader: &mut SettingsReader<'_>) -> Self {
        let username = reader.optional(
            "POSTGRES_MIGRATE_USERNAME",
            "role of `irmgard migrate`, owner of the tables; default: `POSTGRES_USERNAME`",
        );
        let password = reader.secret_optional(
            "POSTGRES_MIGRATE_PASSWORD",
            "password of `POSTGRES_MIGRATE_USERNAME`",
        );
        let runtime_role = reader.optional(
            "POSTGRES_RUNTIME_ROLE",
            "role of `irmgard serve`; `irmgard migrate` lets it read and write rows, and nothing else",
        );
        let credentials = match (username, password) {
            (Some(username), Some(password)) => Some((username, password)),
            (None, None) => None,
            _ => {
                reader.add_error(
                    "POSTGRES_MIGRATE_USERNAME",
                    "needs POSTGRES_MIGRATE_PASSWORD: set both or neither",
                );
                None
            }
        };
        Self {
            database: database_with_credentials(reader, credentials),
            runtime_role,
        }
    }
}

impl ToolSettings {
    /// # Errors
    /// All errors at once.
    pub fn from_environment(environment: &dyn Environment) -> Result<Self, SettingsErrors> {
        read(environment, Self::read)
    }

    fn read(reader: &mut SettingsReader<'_>) -> Self {
        Self {
            database: database(reader),
            store: StoreSettings::read(reader, STORE_ANSWER_TIMEOUT),
        }
    }
}

/// Every variable that a command of this program reads.
#[must_use]
pub fn document() -> Vec<Variable> {
    let nothing = std::collections::BTreeMap::<String, String>::new();
    let mut reader = SettingsReader::new(&nothing);
    ServeSettings::read(&mut reader);
    MigrateSettings::read(&mut reader);
    ToolSettings::read(&mut reader);
    reader.documentation().to_vec()
}

fn read<T>(
    environment: &dyn Environment,
    read: impl FnOnce(&mut SettingsReader<'_>) -> T,
) -> Result<T, SettingsErrors> {
    let mut reader = SettingsReader::new(environment);
    let settings = read(&mut reader);
    reader.finish()?;
    Ok(settings)
}

fn at_least<T>(reader: &mut SettingsReader<'_>, least: T, name: &str, default: T, about: &str) -> T
where
    T: std::str::FromStr<Err: std::fmt::Display> + std::fmt::Display + PartialOrd + Copy + 'static,
{
    let value = reader.parsed(name, default, about);
    if value < least {
        reader.add_error(name, format!("is too small: at least {least}"));
    }
    value
}

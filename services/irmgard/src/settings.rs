//! What the environment says, one typed struct per command.

use std::{net::SocketAddr, path::Path, time::Duration};

use chassis::{
    broker::BrokerSettings,
    settings::{Environment, Mistakes, Reader, Variable},
    store::StoreSettings,
};
use secrecy::SecretString;
use sqlx::postgres::PgSslMode;

use crate::{
    api::Tokens, breaker::BreakerSettings, database::DatabaseSettings, outbox::RelaySettings,
    reconcile::ReconcileSettings, upload::UploadSettings,
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
    /// The relay.
    pub relay: RelaySettings,
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
        let reconcile = reconcile(reader, &broker);
        Self {
            listen,
            admin_listen,
            database,
            database_timeout,
            breaker: breaker(reader),
            upload,
            tokens: tokens(reader),
            relay,
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

fn database(reader: &mut Reader<'_>) -> DatabaseSettings {
    database_of(reader, None)
}

fn database_of(reader: &mut Reader<'_>, credentials: Option<(String, SecretString)>) -> DatabaseSettings {
    let host = reader.required("POSTGRES_HOST", "PostgreSQL's host name or address");
    let port = reader.parsed("POSTGRES_PORT", 5432, "PostgreSQL's port");
    let database = reader.string("POSTGRES_DATABASE", "irmgard", "database");
    let (username, password) = credentials.unwrap_or_else(|| {
        (
            reader.required("POSTGRES_USERNAME", "role at PostgreSQL"),
            reader.secret("POSTGRES_PASSWORD", "the role's password at PostgreSQL"),
        )
    });
    let ca = reader.certificates(
        "POSTGRES_CA",
        "PEM certificates that PostgreSQL's may descend from, beside the system's; usually given as `POSTGRES_CA_FILE`",
    );
    let ssl_mode = reader.parsed_optional::<SslMode>(
        "POSTGRES_SSLMODE",
        "TLS as libpq's `sslmode`: disable, allow, prefer, require, verify-ca or verify-full; if not set, \
         verify-full with `POSTGRES_CA` and prefer without",
    );
    let ssl_mode = ssl_mode.map_or(
        if ca.is_some() {
            PgSslMode::VerifyFull
        } else {
            PgSslMode::Prefer
        },
        |mode| mode.0,
    );
    if ca.is_some() && !matches!(ssl_mode, PgSslMode::VerifyCa | PgSslMode::VerifyFull) {
        reader.mistake(
            "POSTGRES_SSLMODE",
            "verifies no certificate although POSTGRES_CA is set: use verify-full or verify-ca",
        );
    }
    DatabaseSettings {
        host,
        port,
        database,
        username,
        password,
        ssl_mode,
        ca,
        request_connections: at_least(
            reader,
            1,
            "POSTGRES_POOL_SIZE",
            16,
            "connections to PostgreSQL for requests",
        ),
        background_connections: at_least(
            reader,
            3,
            "POSTGRES_BACKGROUND_POOL_SIZE",
            4,
            "connections to PostgreSQL for results and the reconciler, beside one for the relay",
        ),
        acquire_timeout: reader.duration(
            "POSTGRES_ACQUIRE_TIMEOUT",
            Duration::from_secs(1),
            "how long a request waits for a connection to PostgreSQL",
        ),
    }
}

/// libpq's `sslmode`; its error does not repeat the text.
struct SslMode(PgSslMode);

impl std::str::FromStr for SslMode {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse()
            .map(Self)
            .map_err(|_| "write disable, allow, prefer, require, verify-ca or verify-full")
    }
}

fn tokens(reader: &mut Reader<'_>) -> Tokens {
    let file = reader.optional(
        "TOKENS_FILE",
        "file of the tokens, a line `name:sha256:scopes[:project]` each; without it no token is asked for",
    );
    let Some(file) = file else {
        return Tokens::open_to_all();
    };
    Tokens::from_file(Path::new(&file)).unwrap_or_else(|error| {
        reader.mistake("TOKENS_FILE", error.to_string());
        Tokens::open_to_all()
    })
}

fn breaker(reader: &mut Reader<'_>) -> BreakerSettings {
    let default = BreakerSettings::default();
    BreakerSettings {
        failures: at_least(
            reader,
            1,
            "BREAKER_FAILURES",
            default.failures,
            "failures in a row after which PostgreSQL or the object store is no longer asked by every request",
        ),
        rest: reader.duration(
            "BREAKER_REST",
            default.rest,
            "how long it is asked by none then, before one request tries",
        ),
        ..default
    }
}

fn upload(reader: &mut Reader<'_>, store_timeout: Duration) -> UploadSettings {
    let default = UploadSettings::default();
    let settings = UploadSettings {
        max_bytes: reader.bytes(
            "MAX_UPLOAD_BYTES",
            default.max_bytes,
            "the largest photo that is accepted",
        ),
        max_pixels: reader.parsed(
            "MAX_PIXELS",
            default.max_pixels,
            "the largest photo that is accepted, in pixels",
        ),
        part_bytes: size(
            reader,
            "UPLOAD_PART_BYTES",
            default.part_bytes,
            "bodies of unknown length go to the object store in parts of this size",
        ),
        memory_bytes: size(
            reader,
            "UPLOAD_MEMORY_BYTES",
            default.memory_bytes,
            "all parts of such bodies in memory at a time; beyond it uploads wait",
        ),
        memory_wait: reader.duration(
            "UPLOAD_MEMORY_WAIT",
            default.memory_wait,
            "how long they wait before the answer is 503",
        ),
        idle_timeout: reader.duration(
            "UPLOAD_IDLE_TIMEOUT",
            default.idle_timeout,
            "how long a camera may send nothing before the answer is 408",
        ),
        min_bytes_per_second: reader.bytes(
            "MIN_UPLOAD_BYTES_PER_SECOND",
            default.min_bytes_per_second,
            "the least that a camera sends while it is waited for, per second, over each `UPLOAD_IDLE_TIMEOUT` of \
             such waiting; below it the answer is 408; 0 asks for nothing",
        ),
        store_timeout,
    };
    if settings.part_bytes < crate::upload::SMALLEST_PART_BYTES {
        reader.mistake(
            "UPLOAD_PART_BYTES",
            "is too small: S3 takes parts of 5MiB and more",
        );
    }
    if settings.memory_bytes < settings.part_bytes {
        reader.mistake(
            "UPLOAD_MEMORY_BYTES",
            "is smaller than one part, UPLOAD_PART_BYTES",
        );
    }
    settings
}

fn relay(reader: &mut Reader<'_>, broker: &BrokerSettings, store: &StoreSettings) -> RelaySettings {
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

fn reconcile(reader: &mut Reader<'_>, broker: &BrokerSettings) -> ReconcileSettings {
    ReconcileSettings {
        interval: positive(
            reader,
            "RECONCILE_INTERVAL",
            Duration::from_secs(60),
            "how often lost photos are looked for",
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

fn positive(reader: &mut Reader<'_>, name: &str, default: Duration, about: &str) -> Duration {
    let value = reader.duration(name, default, about);
    if value.is_zero() {
        reader.mistake(name, "must not be zero");
        return default;
    }
    value
}

fn size(reader: &mut Reader<'_>, name: &str, default: usize, about: &str) -> usize {
    usize::try_from(reader.bytes(name, default as u64, about)).unwrap_or(usize::MAX)
}

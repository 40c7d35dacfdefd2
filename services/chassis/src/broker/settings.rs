//! Where the broker is and who we are there.

use std::time::Duration;

use contract::queues::{DEFAULT_JOBS, Queues};
use secrecy::SecretString;

use crate::settings::Reader;

/// AMQP's short strings hold 255 bytes; the longest suffix of ours is
/// `.results`.
const MAX_QUEUE_NAME: usize = 200;

/// How to reach RabbitMQ, and which queues to use there.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Host name or address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User.
    pub username: String,
    /// The user's password.
    pub password: SecretString,
    /// Virtual host.
    pub vhost: String,
    /// Whether to speak TLS.
    pub tls: bool,
    /// PEM certificates to trust beside the system's.
    pub ca: Option<String>,
    /// The queues' names.
    pub queues: Queues,
    /// Use the job queue even when it is a classic one.
    pub allow_classic_queue: bool,
    /// How connections of this process are named in the broker.
    pub connection_name: String,
    /// Silence after which the peer counts as gone is twice this.
    pub heartbeat: Duration,
    /// Limit on opening a session, from TCP to declared queues.
    pub connect_timeout: Duration,
    /// Limit on one publish, from the call to the broker's confirm.
    pub publish_timeout: Duration,
}

impl BrokerSettings {
    /// Reads the broker's variables; `component` names the program in the
    /// broker's list of connections.
    pub fn read(reader: &mut Reader<'_>, component: &str) -> Self {
        let tls = reader.flag("RABBITMQ_TLS", "speak TLS to RabbitMQ");
        let queue = reader.string(
            "RABBITMQ_QUEUE",
            DEFAULT_JOBS,
            "name of the job queue; `.results`, `.dead` and `.parked` are named after it",
        );
        if queue.len() > MAX_QUEUE_NAME || queue.starts_with("amq.") {
            reader.mistake(
                "RABBITMQ_QUEUE",
                "cannot name a queue: at most 200 bytes, not beginning with amq.",
            );
        }
        let pod = reader.optional(
            "HOSTNAME",
            "name of this pod or machine, shown in RabbitMQ's list of connections",
        );
        let heartbeat = reader.duration(
            "RABBITMQ_HEARTBEAT",
            Duration::from_secs(10),
            "AMQP heartbeat; a peer that is silent for twice this long counts as gone",
        );
        if !(1..=600).contains(&heartbeat.as_secs()) {
            reader.mistake("RABBITMQ_HEARTBEAT", "is out of range: 1s to 10m");
        }
        Self {
            host: reader.required("RABBITMQ_HOST", "RabbitMQ's host name or address"),
            port: reader
                .parsed_optional(
                    "RABBITMQ_PORT",
                    "RabbitMQ's port: 5672, or 5671 with TLS, if not set",
                )
                .unwrap_or(if tls { 5671 } else { 5672 }),
            username: reader.required("RABBITMQ_USERNAME", "user at RabbitMQ"),
            password: reader.secret("RABBITMQ_PASSWORD", "the user's password at RabbitMQ"),
            vhost: reader.string("RABBITMQ_VHOST", "/", "virtual host at RabbitMQ"),
            tls,
            ca: reader.certificates(
                "RABBITMQ_CA",
                "PEM certificates to trust beside the system's; usually given as `RABBITMQ_CA_FILE`",
            ),
            queues: Queues::of(&queue),
            allow_classic_queue: reader.flag(
                "ALLOW_CLASSIC_QUEUE",
                "use the job queue even if it exists as a classic queue, which does not survive the loss \
                 of a broker node and does not count deliveries",
            ),
            connection_name: pod.map_or_else(|| component.to_owned(), |pod| format!("{component} {pod}")),
            heartbeat,
            connect_timeout: reader.duration(
                "RABBITMQ_CONNECT_TIMEOUT",
                Duration::from_secs(4),
                "limit on opening a session with RabbitMQ",
            ),
            publish_timeout: reader.duration(
                "RABBITMQ_PUBLISH_TIMEOUT",
                Duration::from_secs(5),
                "limit on publishing one message, until RabbitMQ has confirmed it",
            ),
        }
    }
}

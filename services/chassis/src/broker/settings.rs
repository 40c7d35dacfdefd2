//! Where the broker is and who we are there.

use std::{net::Ipv6Addr, time::Duration};

use contract::queues::{DEFAULT_JOBS, Queues};
use secrecy::SecretString;

use crate::settings::Reader;

/// AMQP's short strings hold 255 bytes; the longest suffix of ours is
/// `.results`.
const MAX_QUEUE_NAME: usize = 200;

/// How to reach RabbitMQ, and which queues to use there.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Host names and addresses, separated by commas, each with a port of its own or not.
    pub host: String,
    /// TCP port of those without one.
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
            Duration::from_secs(5),
            "AMQP heartbeat; a peer that is silent for twice this long counts as gone",
        );
        if !(1..=600).contains(&heartbeat.as_secs()) {
            reader.mistake("RABBITMQ_HEARTBEAT", "is out of range: 1s to 10m");
        }
        let host = reader.required(
            "RABBITMQ_HOST",
            "RabbitMQ's host name or address, or several with commas between, each with `:port` or not; each \
             connection tries all their addresses, beginning with another one",
        );
        if !host.is_empty()
            && host
                .split(',')
                .any(|endpoint| parse_endpoint(endpoint, 0).is_none())
        {
            reader.mistake(
                "RABBITMQ_HOST",
                "names no host: write a name or an address, or several as host1:5672,host2:5672; IPv6 addresses with \
                 a port in brackets",
            );
        }
        Self {
            host,
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

/// A place where a broker may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host name or address; the name is what a TLS certificate must be for.
    pub(super) host: String,
    /// TCP port.
    pub(super) port: u16,
}

/// The endpoints of a list; `port` is that of those without one.
pub(super) fn endpoints(list: &str, port: u16) -> Vec<Endpoint> {
    list.split(',')
        .filter_map(|text| parse_endpoint(text, port))
        .collect()
}

/// `host`, `host:port`, `address`, or `[IPv6 address]:port`.
fn parse_endpoint(text: &str, port: u16) -> Option<Endpoint> {
    let text = text.trim();
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (address, rest) = rest.split_once(']')?;
        address.parse::<Ipv6Addr>().ok()?;
        let port = match rest {
            "" => port,
            rest => rest.strip_prefix(':')?.parse().ok()?,
        };
        (address, port)
    } else if text.parse::<Ipv6Addr>().is_ok() {
        (text, port)
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (text, port),
        }
    };
    let usable = !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "/@[]".contains(c));
    usable.then(|| Endpoint {
        host: host.to_owned(),
        port,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_names_and_addresses_with_ports_or_without() {
        let parsed = |list: &str| {
            endpoints(list, 5672)
                .into_iter()
                .map(|Endpoint { host, port }| format!("{host} {port}"))
                .collect::<Vec<_>>()
        };
        assert_eq!(parsed("rabbitmq"), ["rabbitmq 5672"]);
        assert_eq!(
            parsed("a, b:5671 ,10.0.0.1"),
            ["a 5672", "b 5671", "10.0.0.1 5672"]
        );
        assert_eq!(
            parsed("::1,[fd00::1]:5671,[::2]"),
            ["::1 5672", "fd00::1 5671", "::2 5672"]
        );
        for wrong in [
            "", " ", "a:", "a:b", "a:99999", "[a]:1", "[::1", "amqp://a", "u@a", "a b",
        ] {
            assert_eq!(parse_endpoint(wrong, 1), None, "{wrong}");
        }
    }
}

//! Settings of the connection to the broker.

use std::{net::Ipv6Addr, time::Duration};

use contract::queues::{DEFAULT_JOBS, Queues};
use secrecy::SecretString;

use crate::settings::SettingsReader;

/// AMQP short strings hold up to 255 bytes; the longest suffix is `.results`.
const MAX_QUEUE_NAME: usize = 200;

#[derive(Clone, Debug)]
pub struct BrokerSettings {
    /// Host names and addresses, separated by commas, each with or without a port.
    pub host: String,
    /// TCP port of the hosts without one.
    pub port: u16,
    pub username: String,
    pub password: SecretString,
    pub vhost: String,
    pub tls: bool,
    /// PEM certificates of CAs to trust in addition to the system's.
    pub ca: Option<String>,
    pub queues: Queues,
    /// Whether the job queue may be a classic queue.
    pub allow_classic_queue: bool,
    /// Prefix of this process's connection names in the broker.
    pub connection_name: String,
    /// A peer that is silent for twice this long counts as lost.
    pub heartbeat: Duration,
    /// Time limit for opening a session, from TCP to declared queues.
    pub connect_timeout: Duration,
    /// Time limit for one publish, from the call to the broker's confirm.
    pub publish_timeout: Duration,
}

impl BrokerSettings {
    /// Reads the broker's variables. `component` names the program in the broker's list of connections.
    pub fn read(reader: &mut SettingsReader<'_>, component: &str) -> Self {
        let tls = reader.flag("RABBITMQ_TLS", "use TLS for RabbitMQ");
        let queue = reader.string(
            "RABBITMQ_QUEUE",
            DEFAULT_JOBS,
            "name of the job queue; the other queues append `.results`, `.dead` and `.parked`",
        );
        if queue.len() > MAX_QUEUE_NAME || queue.starts_with("amq.") {
            reader.add_error(
                "RABBITMQ_QUEUE",
                "is not a valid queue name: use at most 200 bytes, not beginning with amq.",
            );
        }
        let pod = reader.optional(
            "HOSTNAME",
            "name of this pod or machine, shown in RabbitMQ's list of connections",
        );
        let heartbeat = reader.duration(
            "RABBITMQ_HEARTBEAT",
            Duration::from_secs(5),
            "AMQP heartbeat; a peer that is silent for twice this long counts as lost",
        );
        if !(1..=600).contains(&heartbeat.as_secs()) {
            reader.add_error("RABBITMQ_HEARTBEAT", "is out of range: use 1s to 10m");
        }
        let host = reader.required(
            "RABBITMQ_HOST",
            "RabbitMQ's host name or address, or several, separated by commas, each with or without `:port`; each \
             connection tries all addresses, beginning with another one",
        );
        if !host.is_empty()
            && host
                .split(',')
                .any(|endpoint| parse_endpoint(endpoint, 0).is_none())
        {
            reader.add_error(
                "RABBITMQ_HOST",
                "has no valid host: write a name or an address, or several as host1:5672,host2:5672; write IPv6 addresses with \
                 a port in brackets",
            );
        }
        Self {
            host,
            port: reader
                .parsed_optional(
                    "RABBITMQ_PORT",
                    "RabbitMQ's port; default: 5672, or 5671 with TLS",
                )
                .unwrap_or(if tls { 5671 } else { 5672 }),
            username: reader.required("RABBITMQ_USERNAME", "RabbitMQ user"),
            password: reader.secret("RABBITMQ_PASSWORD", "password of the RabbitMQ user"),
            vhost: reader.string("RABBITMQ_VHOST", "/", "RabbitMQ virtual host"),
            tls,
            ca: reader.certificates(
                "RABBITMQ_CA",
                "PEM certificates of CAs to trust for RabbitMQ, in addition to the system's; usually set as `RABBITMQ_CA_FILE`",
            ),
            queues: Queues::for_jobs(&queue),
            allow_classic_queue: reader.flag(
                "ALLOW_CLASSIC_QUEUE",
                "accept a classic job queue, which does not survive the loss of a broker node and does not count deliveries",
            ),
            connection_name: pod.map_or_else(|| component.to_owned(), |pod| format!("{component} {pod}")),
            heartbeat,
            connect_timeout: reader.duration(
                "RABBITMQ_CONNECT_TIMEOUT",
                Duration::from_secs(4),
                "time limit for opening a RabbitMQ session",
            ),
            publish_timeout: reader.duration(
                "RABBITMQ_PUBLISH_TIMEOUT",
                Duration::from_secs(5),
                "time limit for publishing one message, including RabbitMQ's confirm",
            ),
        }
    }
}

/// An address at which a broker may listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Host name or address. A TLS certificate must be for this name.
    pub(super) host: String,
    pub(super) port: u16,
}

/// Parses a list of endpoints; `port` is the default port.
pub(super) fn endpoints(list: &str, port: u16) -> Vec<Endpoint> {
    list.split(',')
        .filter_map(|text| parse_endpoint(text, port))
        .collect()
}

/// Parses `host`, `host:port`, `address`, or `[IPv6 address]:port`.
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

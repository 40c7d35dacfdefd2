//! One connection to the broker, from the handshake to its end.

use std::{
    io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures::StreamExt;
use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, Event,
    tcp::OwnedTLSConfig,
    uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo},
};
use secrecy::ExposeSecret;
use tokio::time::{interval, sleep, timeout};

use super::{
    BrokerSettings,
    message::short,
    settings::{Endpoint, endpoints},
    topology::{self, TopologyError},
};
use crate::tcp;

/// How often to check the connection's state, in addition to its events.
const STATE_CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Time limit for a graceful close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often to check whether lapin has recorded a close.
const CLOSE_CHECK_INTERVAL: Duration = Duration::from_millis(2);
/// How long the broker may take to answer a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// Reply code of AMQP 0-9-1 for a normal close.
const REPLY_SUCCESS: u16 = 200;

/// Number of sessions that this process has begun to open.
static SESSION_COUNT: AtomicUsize = AtomicUsize::new(0);

#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("no answer from RabbitMQ within {0:?}")]
    TimedOut(Duration),
    /// Refused, cut, or not authorised.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    /// The queues do not have the required type.
    #[error("{0}")]
    Topology(#[from] TopologyError),
}

/// The socket of a connection, so that it can be shut down from outside.
///
/// lapin runs each connection on its own thread, which waits for the handshake without a limit. With a broker
/// that accepts and stays silent, each attempt would leak a thread. Shutting down the socket ends it.
#[derive(Clone, Debug, Default)]
struct Socket(Arc<Mutex<SocketState>>);

#[derive(Debug, Default)]
enum SocketState {
    #[default]
    NotOpened,
    Open(TcpStream),
    Cut,
}

impl Socket {
    fn set_opened(&self, stream: TcpStream) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, SocketState::Cut) {
            shut_down(&stream);
        } else {
            *state = SocketState::Open(stream);
        }
    }

    fn cut(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Open(stream) = std::mem::replace(&mut *state, SocketState::Cut) {
            shut_down(&stream);
        }
    }
}

fn shut_down(stream: &TcpStream) {
    // The socket may be closed already.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Cuts the socket when dropped, even if the handshake failed.
struct CutOnDrop(Socket);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// An open connection with declared queues. Dropping it cuts it.
pub(super) struct Session {
    connection: Connection,
    socket: CutOnDrop,
}

impl Session {
    /// Connects and declares the queues. `role` is the last part of the connection's name.
    pub(super) async fn open(settings: &BrokerSettings, role: &str) -> Result<Self, ConnectError> {
        let limit = settings.connect_timeout;
        timeout(limit, Self::open_without_limit(settings, role))
            .await
            .unwrap_or(Err(ConnectError::TimedOut(limit)))
    }

    async fn open_without_limit(settings: &BrokerSettings, role: &str) -> Result<Self, ConnectError> {
        let socket = CutOnDrop(Socket::default());
        let connection = connect(settings, role, socket.0.clone()).await?;
        let session = Self { connection, socket };
        topology::declare(
            &session.connection,
            &settings.queues,
            settings.allow_classic_queue,
        )
        .await?;
        Ok(session)
    }

    pub(super) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the broker told this client not to publish, because it is short of memory or disk.
    pub(super) fn is_blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the connection is unusable; returns the reason.
    pub(super) async fn wait_until_ended(&self) -> String {
        let mut events = Box::pin(self.connection.events_listener());
        let mut ticks = interval(STATE_CHECK_INTERVAL);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(error)) => return error.to_string(),
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "RabbitMQ blocks publishers (memory or disk alarm)");
                    }
                    Some(Event::ConnectionUnblocked) => tracing::info!("RabbitMQ no longer blocks publishers"),
                    Some(_) => {}
                    None => return "the connection ended".to_owned(),
                },
                _ = ticks.tick() => {
                    if !self.connection.status().connected() {
                        return "the connection ended".to_owned();
                    }
                }
            }
        }
    }

    /// Checks that the broker still answers.
    pub(super) async fn probe(&self) -> Result<(), ConnectError> {
        let request = async {
            let channel = self.connection.create_channel().await?;
            channel.close(REPLY_SUCCESS, short("OK")).await
        };
        let result = timeout(PROBE_TIMEOUT, request).await;
        Ok(result.map_err(|_| ConnectError::TimedOut(PROBE_TIMEOUT))??)
    }

    /// Cuts the connection without a graceful close; waiting requests fail at once.
    pub(super) fn cut(&self) {
        self.socket.0.cut();
    }

    /// Closes the connection gracefully, so that the broker has handled everything sent before,
    /// acknowledgements included.
    ///
    /// `channels` are the open channels. lapin closes a channel when it is dropped, and reports an error if
    /// the connection is already closing.
    pub(super) async fn close(&self, channels: Vec<Channel>) {
        let closing = async {
            for channel in channels {
                // An error means that the channel is closed already.
                let _ = channel.close(REPLY_SUCCESS, short("OK")).await;
            }
            let closed = self.connection.close(REPLY_SUCCESS, short("OK")).await;
            // lapin has no event for the moment when it has recorded the close. A socket that is shut down
            // earlier counts as lost.
            while self.connection.status().closing() {
                sleep(CLOSE_CHECK_INTERVAL).await;
            }
            closed
        };
        if !matches!(timeout(CLOSE_TIMEOUT, closing).await, Ok(Ok(()))) {
            tracing::debug!("the connection to RabbitMQ was not closed gracefully");
        }
        self.cut();
    }
}

async fn connect(settings: &BrokerSettings, role: &str, socket: Socket) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("{} {role}", settings.connection_name).into());
    let endpoints = endpoints(&settings.host, settings.port);
    let tls = settings.tls.then(|| OwnedTLSConfig {
        identity: None,
        cert_chain: settings.ca.clone(),
    });
    let limit = settings.connect_timeout;
    Connection::connector(
        uri(settings),
        lapin::runtime::default_runtime()?,
        async move |_: AMQPUri, runtime| {
            let mut addresses = timeout(limit, resolve(&endpoints))
                .await
                .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            // Each session begins with another address. A node that accepts connections and stays silent
            // costs one attempt, and the sessions are spread over the nodes.
            let first = SESSION_COUNT.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
            let open = async |address: &Address<'_>| {
                let stream = AsyncTcpStream::connect(&runtime, address.address).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let plain = plain.get_ref().as_fd();
                    tcp::limit_silence(&plain)?;
                    socket.set_opened(plain.try_clone_to_owned()?.into());
                }
                match &tls {
                    None => Ok(stream),
                    Some(tls) => stream.into_tls(address.host, tls.as_ref()).await,
                }
            };
            Ok(tcp::connect_any(&addresses, limit, open).await?)
        },
        properties,
    )
    .await
}

/// An address of the broker, with the host name that a TLS certificate must be for.
struct Address<'e> {
    host: &'e str,
    address: SocketAddr,
}

/// All addresses of all endpoints; at least one.
async fn resolve(endpoints: &[Endpoint]) -> io::Result<Vec<Address<'_>>> {
    let mut addresses = Vec::new();
    let mut last_error = io::Error::other("the host name has no address");
    for Endpoint { host, port } in endpoints {
        match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(found) => addresses.extend(found.map(|address| Address { host, address })),
            Err(error) => last_error = error,
        }
    }
    if addresses.is_empty() {
        Err(last_error)
    } else {
        Ok(addresses)
    }
}

fn uri(settings: &BrokerSettings) -> AMQPUri {
    AMQPUri {
        scheme: if settings.tls {
            AMQPScheme::AMQPS
        } else {
            AMQPScheme::AMQP
        },
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: settings.username.clone(),
                password: settings.password.expose_secret().to_owned(),
            },
            // Only for lapin's messages: the connector above has the addresses.
            host: settings.host.clone(),
            port: settings.port,
        },
        vhost: settings.vhost.clone(),
        query: AMQPQueryString {
            heartbeat: Some(u16::try_from(settings.heartbeat.as_secs()).unwrap_or(u16::MAX)),
            ..AMQPQueryString::default()
        },
    }
}

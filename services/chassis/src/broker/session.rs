//! One connection to the broker, from handshake to end.

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

/// How often the connection's state is looked at, beside listening to its
/// events.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often is looked whether lapin has noted a close.
const CLOSED_LOOK: Duration = Duration::from_millis(2);
/// How long the broker may take to answer the question whether it is still there.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);
/// AMQP 0-9-1's reply code of a close that nothing is the matter with.
const REPLY_SUCCESS: u16 = 200;

/// Sessions that this process has begun to open.
static SESSIONS: AtomicUsize = AtomicUsize::new(0);

/// A session cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No session within the limit.
    #[error("no answer from RabbitMQ within {0:?}")]
    TimedOut(Duration),
    /// Refused, cut, or not allowed.
    #[error("{0}")]
    Broker(#[from] lapin::Error),
    /// The queues are not what they must be.
    #[error("{0}")]
    Topology(#[from] TopologyError),
}

/// The socket under a connection, to be shut from outside.
///
/// lapin runs each connection on a thread of its own, which waits without a
/// limit for an answer to its handshake. Against a broker that accepts and
/// then says nothing, every attempt would leave a thread behind; shutting the
/// socket ends it.
#[derive(Clone, Debug, Default)]
struct Socket(Arc<Mutex<SocketState>>);

#[derive(Debug, Default)]
enum SocketState {
    #[default]
    NotYet,
    Open(TcpStream),
    Cut,
}

impl Socket {
    fn opened(&self, stream: TcpStream) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, SocketState::Cut) {
            shut(&stream);
        } else {
            *state = SocketState::Open(stream);
        }
    }

    fn cut(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let SocketState::Open(stream) = std::mem::replace(&mut *state, SocketState::Cut) {
            shut(&stream);
        }
    }
}

fn shut(stream: &TcpStream) {
    // It may be closed already; then there is nothing left to shut.
    let _ = stream.shutdown(Shutdown::Both);
}

/// Cuts the socket in the end, whether the handshake succeeded or not.
struct CutOnDrop(Socket);

impl Drop for CutOnDrop {
    fn drop(&mut self) {
        self.0.cut();
    }
}

/// An open connection with its queues declared. Dropping it cuts it.
pub(super) struct Session {
    connection: Connection,
    socket: CutOnDrop,
}

impl Session {
    /// Connects and declares the queues; `role` ends the connection's name.
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

    /// Whether the broker has told us to publish nothing, because it is
    /// short of memory or disk.
    pub(super) fn blocked(&self) -> bool {
        self.connection.status().blocked()
    }

    /// Waits until the connection is no longer usable, and tells why.
    pub(super) async fn ended(&self) -> String {
        let mut events = Box::pin(self.connection.events_listener());
        let mut look = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                event = events.next() => match event {
                    Some(Event::Error(error)) => return error.to_string(),
                    Some(Event::ConnectionBlocked(reason)) => {
                        tracing::warn!(reason, "RabbitMQ takes no messages for now");
                    }
                    Some(Event::ConnectionUnblocked) => tracing::info!("RabbitMQ takes messages again"),
                    Some(_) => {}
                    None => return "the connection ended".to_owned(),
                },
                _ = look.tick() => {
                    if !self.connection.status().connected() {
                        return "the connection ended".to_owned();
                    }
                }
            }
        }
    }

    /// Asks the broker whether it is still there.
    pub(super) async fn probe(&self) -> Result<(), ConnectError> {
        let asked = async {
            let channel = self.connection.create_channel().await?;
            channel.close(REPLY_SUCCESS, short("OK")).await
        };
        let answered = timeout(PROBE_TIMEOUT, asked).await;
        Ok(answered.map_err(|_| ConnectError::TimedOut(PROBE_TIMEOUT))??)
    }

    /// Ends the connection without a farewell; whatever waits for its broker fails at once.
    pub(super) fn cut(&self) {
        self.socket.0.cut();
    }

    /// Says farewell, so that the broker has handled everything that was sent
    /// before, acknowledgements among it.
    ///
    /// `channels` are those that are still open. lapin closes a channel when it
    /// is dropped, and calls it an error where the connection is closing by then.
    pub(super) async fn close(&self, channels: Vec<Channel>) {
        let farewell = async {
            for channel in channels {
                // An error means that it is closed, which is what is wanted.
                let _ = channel.close(REPLY_SUCCESS, short("OK")).await;
            }
            let closed = self.connection.close(REPLY_SUCCESS, short("OK")).await;
            // The answer is here before lapin has noted it, for which it has
            // no event; a socket that is shut earlier counts as lost.
            while self.connection.status().closing() {
                sleep(CLOSED_LOOK).await;
            }
            closed
        };
        if !matches!(timeout(CLOSE_TIMEOUT, farewell).await, Ok(Ok(()))) {
            tracing::debug!("the connection to RabbitMQ ended without a farewell");
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
            // Each session begins with another address. A node that takes connections and then says nothing costs one
            // attempt, and the sessions are spread over the nodes.
            let first = SESSIONS.fetch_add(1, Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
            let open = async |address: &Address<'_>| {
                let stream = AsyncTcpStream::connect(&runtime, address.address).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    let plain = plain.get_ref().as_fd();
                    tcp::limit_silence(&plain)?;
                    socket.opened(plain.try_clone_to_owned()?.into());
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

/// An address of the broker, with the host's name that a TLS certificate must be for.
struct Address<'e> {
    host: &'e str,
    address: SocketAddr,
}

/// All addresses of all endpoints, at least one.
async fn resolve(endpoints: &[Endpoint]) -> io::Result<Vec<Address<'_>>> {
    let mut addresses = Vec::new();
    let mut last = io::Error::other("the host name has no address");
    for Endpoint { host, port } in endpoints {
        match tokio::net::lookup_host((host.as_str(), *port)).await {
            Ok(found) => addresses.extend(found.map(|address| Address { host, address })),
            Err(error) => last = error,
        }
    }
    if addresses.is_empty() {
        Err(last)
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
            // For lapin's messages alone: the connector above knows the addresses.
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

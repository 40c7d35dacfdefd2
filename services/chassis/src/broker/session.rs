//! One connection to the broker, from handshake to end.

use std::{
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
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
    topology::{self, TopologyError},
};

/// How often the connection's state is looked at, beside listening to its
/// events.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long a farewell may take.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often is looked whether lapin has noted a close.
const CLOSED_LOOK: Duration = Duration::from_millis(2);
/// AMQP 0-9-1's reply code of a close that nothing is the matter with.
const REPLY_SUCCESS: u16 = 200;

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
        self.socket.0.cut();
    }
}

async fn connect(settings: &BrokerSettings, role: &str, socket: Socket) -> lapin::Result<Connection> {
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("{} {role}", settings.connection_name).into());
    let tls = OwnedTLSConfig {
        identity: None,
        cert_chain: settings.ca.clone(),
    };
    let limit = settings.connect_timeout;
    Connection::connector(
        uri(settings),
        lapin::runtime::default_runtime()?,
        async move |uri: AMQPUri, runtime| {
            let open = async {
                let address = resolve(&uri.authority).await?;
                let stream = AsyncTcpStream::connect(&runtime, address).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    socket.opened(plain.get_ref().as_fd().try_clone_to_owned()?.into());
                }
                match uri.scheme {
                    AMQPScheme::AMQP => Ok(stream),
                    AMQPScheme::AMQPS => stream.into_tls(&uri.authority.host, tls.as_ref()).await,
                }
            };
            let opened = timeout(limit, open).await;
            Ok(opened.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))?)
        },
        properties,
    )
    .await
}

async fn resolve(authority: &AMQPAuthority) -> std::io::Result<SocketAddr> {
    let mut addresses = tokio::net::lookup_host((authority.host.as_str(), authority.port)).await?;
    addresses
        .next()
        .ok_or_else(|| std::io::Error::other("the host name has no address"))
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

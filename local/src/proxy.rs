//! A TCP fault proxy: stands before a server and simulates its outages.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp},
    sync::watch,
    time::sleep,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::ports;

/// How the proxy treats bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Forwards everything.
    Pass,
    /// Resets open connections and refuses new ones.
    Refuse,
    /// Accepts connections and keeps them open, but forwards no bytes. They arrive when the stall ends.
    Stall,
    /// Forwards at most 16 KiB in each direction per this duration.
    Slow(Duration),
    /// Forwards everything until the client sends these bytes. Then it resets that connection before the server's answer.
    CutAfter(&'static [u8]),
    /// Forwards everything until the client sends these bytes. Later bytes of the client on that connection are lost.
    SilentAfter(&'static [u8]),
}

const CHUNK: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Control {
    behaviour: Behaviour,
    /// An increase resets all open connections.
    cuts: u64,
    /// An increase makes all open connections silent for ever.
    strands: u64,
}

/// A proxy on a free port. It ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    /// Whether the port is open.
    listening: watch::Receiver<bool>,
    accepted: Arc<AtomicU64>,
    _end: DropGuard,
}

impl Proxy {
    /// Listens on a free local port and forwards connections to `server` (`host:port`).
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: String) -> io::Result<Self> {
        let port = ports::free().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let control = watch::Sender::new(Control {
            behaviour: Behaviour::Pass,
            cuts: 0,
            strands: 0,
        });
        let (listens, listening) = watch::channel(true);
        let end = CancellationToken::new();
        let accepted = Arc::<AtomicU64>::default();
        let acceptor = Acceptor {
            accepted: Arc::clone(&accepted),
            address,
            server,
            control: control.subscribe(),
            listens,
            end: end.clone(),
        };
        tokio::spawn(acceptor.run(listener));
        Ok(Self {
            address,
            control,
            listening,
            accepted,
            _end: end.drop_guard(),
        })
    }

    /// The address for clients.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Changes the behaviour. Returns when the port is open or closed accordingly.
    pub async fn behave(&self, behaviour: Behaviour) {
        self.control.send_modify(|control| {
            control.behaviour = behaviour;
            if behaviour == Behaviour::Refuse {
                control.cuts += 1;
            }
        });
        let open = behaviour != Behaviour::Refuse;
        // An error means that the proxy has ended.
        let _ = self.listening.clone().wait_for(|now| *now == open).await;
    }

    /// Forwards everything again.
    pub async fn restore(&self) {
        self.behave(Behaviour::Pass).await;
    }

    /// Resets all open connections.
    pub fn cut(&self) {
        self.control.send_modify(|control| control.cuts += 1);
    }

    /// Makes all open connections silent for ever without closing them, and forwards new ones. This simulates a server whose
    /// node was lost and that now runs on another node.
    pub async fn strand(&self) {
        self.control.send_modify(|control| control.strands += 1);
        self.restore().await;
    }
}

/// Accepts connections.
struct Acceptor {
    accepted: Arc<AtomicU64>,
    address: SocketAddr,
    server: String,
    control: watch::Receiver<Control>,
    listens: watch::Sender<bool>,
    end: CancellationToken,
}

impl Acceptor {
    async fn run(mut self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            let refuse = self.control.borrow_and_update().behaviour == Behaviour::Refuse;
            if refuse {
                listener = None;
            } else if listener.is_none() {
                listener = TcpListener::bind(self.address).await.ok();
                if listener.is_none() {
                    sleep(Duration::from_millis(20)).await;
                    continue;
                }
            }
            self.listens.send_replace(listener.is_some());
            tokio::select! {
                accepted = accept(listener.as_ref()) => {
                    if let Ok((client, _)) = accepted {
                        self.forward(client);
                    }
                }
                changed = self.control.changed() => if changed.is_err() { break },
                () = self.end.cancelled() => break,
            }
        }
        self.listens.send_replace(false);
    }

    fn forward(&self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (server, control, end) = (self.server.clone(), self.control.clone(), self.end.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = relay(client, &server, control) => {}
                () = end.cancelled() => {}
            }
        });
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}

async fn relay(client: TcpStream, server: &str, mut control: watch::Receiver<Control>) -> io::Result<()> {
    // Zero linger turns a close into a reset.
    client.set_zero_linger()?;
    let Control { cuts, strands, .. } = *control.borrow_and_update();
    let mut cut = control.clone();
    let relayed = async {
        wait_until_allowed(&mut control, strands).await;
        let server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            pump(from_client, to_server, control.clone(), strands, true),
            pump(from_server, to_client, control.clone(), strands, false),
        )
    };
    tokio::select! {
        result = relayed => result.map(drop),
        _ = cut.wait_for(|control| control.cuts != cuts) => Ok(()),
    }
}

async fn pump(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut control: watch::Receiver<Control>,
    strands: u64,
    from_client: bool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        wait_until_allowed(&mut control, strands).await;
        if read == 0 {
            return to.shutdown().await;
        }
        let behaviour = control.borrow().behaviour;
        if let Behaviour::Slow(pause) = behaviour {
            sleep(pause).await;
        }
        let bytes = &chunk[..read];
        to.write_all(bytes).await?;
        let sent =
            |trigger: &[u8]| from_client && bytes.windows(trigger.len()).any(|window| window == trigger);
        match behaviour {
            Behaviour::CutAfter(trigger) if sent(trigger) => {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
            Behaviour::SilentAfter(trigger) if sent(trigger) => return std::future::pending().await,
            _ => {}
        }
    }
}

/// Waits until this connection may forward bytes.
async fn wait_until_allowed(control: &mut watch::Receiver<Control>, strands: u64) {
    let is_allowed = |control: &Control| control.strands == strands && control.behaviour != Behaviour::Stall;
    // An error means that the proxy ends, and this connection too.
    let _ = control.wait_for(is_allowed).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn start_echo_server() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    let _ = tokio::io::copy(&mut read, &mut write).await;
                });
            }
        });
        address
    }

    async fn exchange(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn it_simulates_every_outage() {
        let proxy = Proxy::start(start_echo_server().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(exchange(&mut stream).await.unwrap(), b'x');

        proxy.cut();
        assert!(exchange(&mut stream).await.is_err(), "cut");
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(
            exchange(&mut stream).await.unwrap(),
            b'x',
            "a new connection after a cut"
        );
        assert_eq!(proxy.accepted(), 2);

        proxy.behave(Behaviour::Stall).await;
        let waiting = timeout(Duration::from_millis(200), exchange(&mut stream)).await;
        assert!(waiting.is_err(), "stalled");
        let mut late = TcpStream::connect(proxy.address()).await.unwrap();
        late.write_all(b"y").await.unwrap();
        proxy.restore().await;
        assert_eq!(stream.read_u8().await.unwrap(), b'x', "delayed, not lost");
        assert_eq!(late.read_u8().await.unwrap(), b'y', "delayed, not lost");

        proxy.behave(Behaviour::Refuse).await;
        assert!(exchange(&mut stream).await.is_err(), "reset");
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.restore().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(exchange(&mut stream).await.unwrap(), b'x', "open again");

        proxy.behave(Behaviour::Slow(Duration::from_millis(100))).await;
        let start = Instant::now();
        assert_eq!(exchange(&mut stream).await.unwrap(), b'x');
        assert!(
            start.elapsed() >= Duration::from_millis(200),
            "once in each direction"
        );

        proxy.strand().await;
        let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(
            exchange(&mut fresh).await.unwrap(),
            b'x',
            "a new connection passes"
        );
        let waiting = timeout(Duration::from_millis(200), exchange(&mut stream)).await;
        assert!(waiting.is_err(), "the old connection is open but silent");

        proxy.behave(Behaviour::SilentAfter(b"x")).await;
        assert_eq!(exchange(&mut fresh).await.unwrap(), b'x', "still answered");
        let waiting = timeout(Duration::from_millis(200), exchange(&mut fresh)).await;
        assert!(waiting.is_err(), "silent after that");

        let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.behave(Behaviour::CutAfter(b"last")).await;
        assert_eq!(exchange(&mut fresh).await.unwrap(), b'x');
        fresh.write_all(b"the last").await.unwrap();
        let mut rest = Vec::new();
        // An error is a reset.
        let _ = fresh.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "ended without an answer");
    }
}

//! A TCP proxy that stands before a server and plays its outages.

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

/// What the proxy does with bytes and connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// Passes everything on.
    Pass,
    /// Nobody listens, and open connections are reset.
    Refuse,
    /// Connections are accepted and stay open; no byte moves. What was sent
    /// meanwhile arrives once it ends.
    Stall,
    /// At most 16 KiB move in each direction per this time.
    Slow(Duration),
    /// Passes everything on until the client has sent these bytes; then that connection ends, before the
    /// server's answer to them.
    CutAfter(&'static [u8]),
    /// Passes everything on until the client has sent these bytes; what it sends later on that connection gets lost.
    SilentAfter(&'static [u8]),
}

const CHUNK: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    behaviour: Behaviour,
    /// Raised to reset every connection that is open.
    cuts: u64,
    /// Raised to make every connection that is open silent for ever.
    strands: u64,
}

/// A proxy on a port of its own; it ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    /// Whether the port is open, as the behaviour wants it.
    listening: watch::Receiver<bool>,
    accepted: Arc<AtomicU64>,
    _end: DropGuard,
}

impl Proxy {
    /// Listens on a free local port and passes connections on to `server`
    /// (`host:port`).
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(server: String) -> io::Result<Self> {
        let port = ports::free().map_err(io::Error::other)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        let address = listener.local_addr()?;
        let state = watch::Sender::new(State {
            behaviour: Behaviour::Pass,
            cuts: 0,
            strands: 0,
        });
        let (listens, listening) = watch::channel(true);
        let end = CancellationToken::new();
        let accepted = Arc::<AtomicU64>::default();
        let door = Door {
            accepted: Arc::clone(&accepted),
            address,
            server,
            state: state.subscribe(),
            listens,
            end: end.clone(),
        };
        tokio::spawn(door.keep(listener));
        Ok(Self {
            address,
            state,
            listening,
            accepted,
            _end: end.drop_guard(),
        })
    }

    /// Where to connect to.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connections accepted so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    /// Behaves so from now on; returns once the port is open or shut as that
    /// demands.
    pub async fn behave(&self, behaviour: Behaviour) {
        self.state.send_modify(|state| {
            state.behaviour = behaviour;
            if behaviour == Behaviour::Refuse {
                state.cuts += 1;
            }
        });
        let open = behaviour != Behaviour::Refuse;
        // An error would mean that the proxy has ended, and then nobody listens.
        let _ = self.listening.clone().wait_for(|now| *now == open).await;
    }

    /// Passes everything on again.
    pub async fn restore(&self) {
        self.behave(Behaviour::Pass).await;
    }

    /// Resets every open connection, once.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    /// Makes every open connection silent for ever, without closing it, and passes new ones on: a server whose node
    /// was lost, and that runs on another one now.
    pub async fn strand(&self) {
        self.state.send_modify(|state| state.strands += 1);
        self.restore().await;
    }
}

/// The accepting side.
struct Door {
    accepted: Arc<AtomicU64>,
    address: SocketAddr,
    server: String,
    state: watch::Receiver<State>,
    listens: watch::Sender<bool>,
    end: CancellationToken,
}

impl Door {
    async fn keep(mut self, first: TcpListener) {
        let mut listener = Some(first);
        loop {
            let refuse = self.state.borrow_and_update().behaviour == Behaviour::Refuse;
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
                        self.open(client);
                    }
                }
                changed = self.state.changed() => if changed.is_err() { break },
                () = self.end.cancelled() => break,
            }
        }
        self.listens.send_replace(false);
    }

    fn open(&self, client: TcpStream) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
        let (server, state, end) = (self.server.clone(), self.state.clone(), self.end.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = carry(client, &server, state) => {}
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

async fn carry(client: TcpStream, server: &str, mut state: watch::Receiver<State>) -> io::Result<()> {
    // A cut is a reset, not a polite end.
    client.set_zero_linger()?;
    let State { cuts, strands, .. } = *state.borrow_and_update();
    let mut cut = state.clone();
    let carried = async {
        passes(&mut state, strands).await;
        let server = TcpStream::connect(server).await?;
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::try_join!(
            pump(from_client, to_server, state.clone(), strands, true),
            pump(from_server, to_client, state.clone(), strands, false),
        )
    };
    tokio::select! {
        result = carried => result.map(drop),
        _ = cut.wait_for(|state| state.cuts != cuts) => Ok(()),
    }
}

async fn pump(
    mut from: tcp::OwnedReadHalf,
    mut to: tcp::OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    strands: u64,
    from_client: bool,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        passes(&mut state, strands).await;
        if read == 0 {
            return to.shutdown().await;
        }
        let behaviour = state.borrow().behaviour;
        if let Behaviour::Slow(pause) = behaviour {
            sleep(pause).await;
        }
        let bytes = &chunk[..read];
        to.write_all(bytes).await?;
        let sent = |word: &[u8]| from_client && bytes.windows(word.len()).any(|window| window == word);
        match behaviour {
            Behaviour::CutAfter(word) if sent(word) => return Err(io::ErrorKind::ConnectionReset.into()),
            Behaviour::SilentAfter(word) if sent(word) => return std::future::pending().await,
            _ => {}
        }
    }
}

/// Waits until bytes of this connection may move.
async fn passes(state: &mut watch::Receiver<State>, strands: u64) {
    let may = |state: &State| state.strands == strands && state.behaviour != Behaviour::Stall;
    // An error would mean that the proxy ends, and the connection with it.
    let _ = state.wait_for(may).await;
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    async fn echo() -> String {
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

    async fn ask(stream: &mut TcpStream) -> io::Result<u8> {
        stream.write_all(b"x").await?;
        stream.read_u8().await
    }

    #[tokio::test]
    async fn it_plays_every_outage() {
        let proxy = Proxy::start(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), b'x');

        proxy.cut();
        assert!(ask(&mut stream).await.is_err(), "cut");
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(
            ask(&mut stream).await.unwrap(),
            b'x',
            "a new connection after a cut"
        );
        assert_eq!(proxy.accepted(), 2);

        proxy.behave(Behaviour::Stall).await;
        let waiting = timeout(Duration::from_millis(200), ask(&mut stream)).await;
        assert!(waiting.is_err(), "stalled");
        let mut late = TcpStream::connect(proxy.address()).await.unwrap();
        late.write_all(b"y").await.unwrap();
        proxy.restore().await;
        assert_eq!(stream.read_u8().await.unwrap(), b'x', "held, not lost");
        assert_eq!(late.read_u8().await.unwrap(), b'y', "held, not lost");

        proxy.behave(Behaviour::Refuse).await;
        assert!(ask(&mut stream).await.is_err(), "reset");
        let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        proxy.restore().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut stream).await.unwrap(), b'x', "open again");

        proxy.behave(Behaviour::Slow(Duration::from_millis(100))).await;
        let began = Instant::now();
        assert_eq!(ask(&mut stream).await.unwrap(), b'x');
        assert!(began.elapsed() >= Duration::from_millis(200), "there and back");

        proxy.strand().await;
        let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(ask(&mut fresh).await.unwrap(), b'x', "a new connection passes");
        let waiting = timeout(Duration::from_millis(200), ask(&mut stream)).await;
        assert!(waiting.is_err(), "the old one is silent, and open");

        proxy.behave(Behaviour::SilentAfter(b"x")).await;
        assert_eq!(ask(&mut fresh).await.unwrap(), b'x', "answered still");
        let waiting = timeout(Duration::from_millis(200), ask(&mut fresh)).await;
        assert!(waiting.is_err(), "silent then");

        let mut fresh = TcpStream::connect(proxy.address()).await.unwrap();
        proxy.behave(Behaviour::CutAfter(b"last")).await;
        assert_eq!(ask(&mut fresh).await.unwrap(), b'x');
        fresh.write_all(b"the last").await.unwrap();
        let mut rest = Vec::new();
        // An error is a reset.
        let _ = fresh.read_to_end(&mut rest).await;
        assert!(rest.is_empty(), "ended without an answer");
    }
}

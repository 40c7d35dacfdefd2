//! A TCP fault proxy: stands before a server and simulates its outages.

use std::future::pending;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

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

/// An HTTP response that the proxy sends instead of the server.
#[derive(Debug)]
struct CannedResponse {
    /// A part of the request line.
    request: String,
    response: String,
}

#[derive(Clone, Debug)]
struct Control {
    behaviour: Behaviour,
    canned: Option<Arc<CannedResponse>>,
    /// An increase resets all open connections.
    cuts: u64,
    /// An increase makes all open connections silent for ever.
    strands: u64,
}

/// A proxy on a free port. It ends when it is dropped. It runs in a thread of its own, so a test may block.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    control: watch::Sender<Control>,
    /// Whether the port is open.
    listening: watch::Receiver<bool>,
    accepted: Arc<AtomicU64>,
    _end: DropGuard,
}

impl FaultProxy {
    /// Listens on a free local port and forwards connections to `server` (`host:port` or `http://host:port`).
    ///
    /// # Errors
    /// When no port is free.
    pub fn start(server: &str) -> io::Result<Self> {
        let port = local::free_port().map_err(io::Error::other)?;
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let control = watch::Sender::new(Control {
            behaviour: Behaviour::Pass,
            canned: None,
            cuts: 0,
            strands: 0,
        });
        let (open, listening) = watch::channel(true);
        let end = CancellationToken::new();
        let accepted = Arc::<AtomicU64>::default();
        let acceptor = Acceptor {
            accepted: Arc::clone(&accepted),
            address,
            server: server.trim_start_matches("http://").trim_end_matches('/').into(),
            control: control.subscribe(),
            open,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let ended = end.clone();
        thread::spawn(move || runtime.block_on(ended.run_until_cancelled(acceptor.run(listener))));
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

    /// The `http://` URL for clients.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
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

    /// Answers HTTP requests whose request line contains this text. The server does not see them.
    pub fn respond_to(&self, request: &str, status: u16, body: &str) {
        let response = format!(
            "HTTP/1.1 {status} Canned\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let canned = CannedResponse {
            request: request.into(),
            response,
        };
        self.control
            .send_modify(|control| control.canned = Some(Arc::new(canned)));
    }

    /// Forwards everything again.
    pub async fn restore(&self) {
        self.control.send_modify(|control| control.canned = None);
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
    server: Arc<str>,
    control: watch::Receiver<Control>,
    open: watch::Sender<bool>,
}

impl Acceptor {
    async fn run(mut self, first: std::net::TcpListener) {
        let mut listener = TcpListener::from_std(first).ok();
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
            self.open.send_replace(listener.is_some());
            tokio::select! {
                accepted = accept(listener.as_ref()) => if let Ok((client, _)) = accepted {
                    self.accepted.fetch_add(1, Ordering::Relaxed);
                    tokio::spawn(relay(client, Arc::clone(&self.server), self.control.clone()));
                },
                changed = self.control.changed() => if changed.is_err() { break },
            }
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => pending().await,
    }
}

/// Why a connection ends early.
enum End {
    Reset,
    Respond(Arc<CannedResponse>),
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Reset
    }
}

async fn relay(mut client: TcpStream, server: Arc<str>, control: watch::Receiver<Control>) {
    let Control { cuts, strands, .. } = *control.borrow();
    let mut cut = control.clone();
    let end = tokio::select! {
        end = forward(&mut client, &server, control, strands) => end,
        _ = cut.wait_for(|control| control.cuts != cuts) => Err(End::Reset),
    };
    // An error means that the client has gone.
    let _ = match end {
        Ok(()) => Ok(()),
        // Zero linger turns a close into a reset.
        Err(End::Reset) => client.set_zero_linger(),
        Err(End::Respond(canned)) => respond(&mut client, &canned.response).await,
    };
}

async fn forward(
    client: &mut TcpStream,
    server: &str,
    mut control: watch::Receiver<Control>,
    strands: u64,
) -> Result<(), End> {
    wait_until_allowed(&mut control, strands).await;
    let mut server = TcpStream::connect(server).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    tokio::try_join!(
        pump(from_client, to_server, control.clone(), strands, true),
        pump(from_server, to_client, control.clone(), strands, false),
    )?;
    Ok(())
}

/// Sends the response. Reads the rest of the request, because closing with unread bytes would reset the connection.
async fn respond(client: &mut TcpStream, response: &str) -> io::Result<()> {
    client.write_all(response.as_bytes()).await?;
    client.shutdown().await?;
    let mut rest = vec![0; CHUNK];
    while client.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut control: watch::Receiver<Control>,
    strands: u64,
    from_client: bool,
) -> Result<(), End> {
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = from.read(&mut chunk).await?;
        wait_until_allowed(&mut control, strands).await;
        if read == 0 {
            return Ok(to.shutdown().await?);
        }
        let Control {
            behaviour, canned, ..
        } = control.borrow().clone();
        if let Behaviour::Slow(pause) = behaviour {
            sleep(pause).await;
        }
        let bytes = &chunk[..read];
        if from_client && let Some(canned) = canned.filter(|canned| canned.matches(bytes)) {
            return Err(End::Respond(canned));
        }
        to.write_all(bytes).await?;
        let sent =
            |trigger: &[u8]| from_client && bytes.windows(trigger.len()).any(|window| window == trigger);
        match behaviour {
            Behaviour::CutAfter(trigger) if sent(trigger) => return Err(End::Reset),
            Behaviour::SilentAfter(trigger) if sent(trigger) => return pending().await,
            _ => {}
        }
    }
}

impl CannedResponse {
    /// Whether bytes of a client begin with such a request line.
    fn matches(&self, bytes: &[u8]) -> bool {
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        String::from_utf8_lossy(line).contains(&self.request)
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
        let proxy = FaultProxy::start(&start_echo_server().await).unwrap();
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
    #[tokio::test]
    async fn it_responds_instead_of_the_server() {
        let proxy = FaultProxy::start(&format!("http://{}/", start_echo_server().await)).unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(exchange(&mut stream).await.unwrap(), b'x');
        proxy.respond_to("GET /broken", 503, "later");
        let other = b"GET /other HTTP/1.1\r\nreferer: GET /broken\r\n\r\n";
        stream.write_all(other).await.unwrap();
        let mut echo = vec![0; other.len()];
        stream.read_exact(&mut echo).await.unwrap();
        assert_eq!(echo, other, "another request passes");
        // More bytes than the proxy reads before it responds.
        let mut request = b"GET /broken/1 HTTP/1.1\r\n\r\n".to_vec();
        request.extend(vec![b'z'; 3 * CHUNK]);
        stream.write_all(&request).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 503 "), "{response}");
        assert!(response.ends_with("\r\n\r\nlater"), "{response}");

        proxy.restore().await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(b"GET /broken/1").await.unwrap();
        assert_eq!(stream.read_u8().await.unwrap(), b'G');
    }
}

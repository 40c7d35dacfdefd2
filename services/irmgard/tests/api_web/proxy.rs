//! A TCP proxy that plays outages, and ends connections at a chosen word.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Pass,
    /// Connections are accepted and stay open; no byte moves.
    Stall,
    /// Connections are closed.
    Cut,
    /// The client's bytes are passed on until these are among them; then the
    /// connection is closed, before the server's answer to them.
    CutAfter(&'static [u8]),
}

pub struct Proxy {
    pub address: SocketAddr,
    behaviour: Arc<watch::Sender<Behaviour>>,
}

impl Proxy {
    pub async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let behaviour = Arc::new(watch::Sender::new(Behaviour::Pass));
        let current = Arc::clone(&behaviour);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connection(client, server.clone(), current.subscribe()));
            }
        });
        Self { address, behaviour }
    }

    pub fn set(&self, behaviour: Behaviour) {
        self.behaviour.send_replace(behaviour);
    }
}

async fn connection(client: TcpStream, server: String, behaviour: watch::Receiver<Behaviour>) {
    let mut cut = behaviour.clone();
    let passing = async {
        wait_until_passing(behaviour.clone()).await;
        let server = TcpStream::connect(server).await?;
        let (client_in, client_out) = client.into_split();
        let (server_in, server_out) = server.into_split();
        tokio::select! {
            ended = pump(client_in, server_out, behaviour.clone(), true) => ended,
            ended = pump(server_in, client_out, behaviour, false) => ended,
        }
    };
    tokio::select! {
        _ = passing => {}
        _ = cut.wait_for(|behaviour| *behaviour == Behaviour::Cut) => {}
    }
}

async fn wait_until_passing(mut behaviour: watch::Receiver<Behaviour>) {
    let _ = behaviour
        .wait_for(|behaviour| *behaviour != Behaviour::Stall)
        .await;
}

async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    behaviour: watch::Receiver<Behaviour>,
    from_client: bool,
) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        wait_until_passing(behaviour.clone()).await;
        let read = from.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        wait_until_passing(behaviour.clone()).await;
        to.write_all(&buffer[..read]).await?;
        let word = behaviour.borrow().clone();
        if let Behaviour::CutAfter(word) = word
            && from_client
            && memchr::memmem::find(&buffer[..read], word).is_some()
        {
            return Ok(());
        }
    }
}

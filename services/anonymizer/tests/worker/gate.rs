//! Outages without touching the servers, which other tests use, too.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A way to a server that can be closed: connections are then refused, and
/// open ones cut.
pub struct Gate {
    open: Arc<watch::Sender<bool>>,
    pub address: SocketAddr,
}

impl Gate {
    pub async fn to(server: String) -> Self {
        let mut listener = Some(TcpListener::bind("127.0.0.1:0").await.unwrap());
        let address = listener.as_ref().unwrap().local_addr().unwrap();
        let open = Arc::new(watch::Sender::new(true));
        let watched = Arc::clone(&open);
        tokio::spawn(async move {
            let mut state = watched.subscribe();
            loop {
                if !*state.borrow_and_update() {
                    listener = None;
                    state.changed().await.unwrap();
                    continue;
                }
                let listening = match &mut listener {
                    Some(listening) => listening,
                    closed => closed.insert(TcpListener::bind(address).await.unwrap()),
                };
                tokio::select! {
                    _ = state.changed() => {}
                    accepted = listening.accept() => {
                        let (mut client, _) = accepted.unwrap();
                        let (server, mut state) = (server.clone(), watched.subscribe());
                        tokio::spawn(async move {
                            let mut server = TcpStream::connect(server).await.unwrap();
                            tokio::select! {
                                _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                                _ = state.wait_for(|open| !open) => {}
                            }
                        });
                    }
                }
            }
        });
        Self { open, address }
    }

    pub fn set(&self, open: bool) {
        self.open.send_replace(open);
    }
}

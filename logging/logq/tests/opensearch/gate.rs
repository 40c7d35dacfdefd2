//! A TCP proxy that a test can close.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

pub struct Gate {
    address: SocketAddr,
    server: String,
    task: Option<JoinHandle<()>>,
}

impl Gate {
    /// An open proxy for `http://HOST:PORT`.
    pub async fn for_server(url: &str) -> Self {
        let mut gate = Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            server: url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            task: None,
        };
        gate.open().await;
        gate
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub async fn open(&mut self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let server = self.server.clone();
        self.task = Some(tokio::spawn(async move {
            // The connections end with this task.
            let mut connections = JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let server = server.clone();
                connections.spawn(async move {
                    if let Ok(mut far) = TcpStream::connect(&server).await {
                        let _ = copy_bidirectional(&mut near, &mut far).await;
                    }
                });
            }
        }));
    }

    /// Closes all connections and refuses new ones.
    pub async fn shut(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            let _ = task.await;
        }
    }
}

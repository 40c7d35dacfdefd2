//! An HTTP server that fails at some requests, without touching the server
//! itself, which other tests use, too.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// A way to an HTTP server that answers 500 itself to some requests.
pub struct Faults {
    failing: Arc<watch::Sender<String>>,
    pub address: SocketAddr,
}

impl Faults {
    /// No request fails yet.
    pub async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let failing = Arc::new(watch::Sender::new("none of them".to_owned()));
        let watched = failing.subscribe();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let failing = watched.borrow().clone();
                tokio::spawn(one_request(client, server.clone(), failing));
            }
        });
        Self { failing, address }
    }

    /// From now on, requests fail whose first line contains this.
    pub fn fail(&self, text: &str) {
        self.failing.send_replace(text.to_owned());
    }
}

/// One request for each connection, so that none gets past the look at it.
async fn one_request(mut client: TcpStream, server: String, failing: String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let (first, rest) = head.split_once("\r\n").unwrap();
    if first.contains(&failing) {
        let answer = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = client.write_all(answer.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(server).await.unwrap();
    let head = format!("{first}\r\nConnection: close\r\n{rest}");
    server.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

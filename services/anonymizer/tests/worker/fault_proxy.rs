//! An HTTP proxy that fails some requests. Other tests use the server behind it too, so
//! the server itself must not fail.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// No request line contains this text.
const NO_REQUEST: &str = "none of them";

/// A proxy in front of an HTTP server. It answers 500 to matching requests.
pub struct FaultProxy {
    pattern: Arc<watch::Sender<String>>,
    pub address: SocketAddr,
}

impl FaultProxy {
    /// Starts a proxy that passes on all requests.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pattern = Arc::new(watch::Sender::new(NO_REQUEST.to_owned()));
        let current_pattern = pattern.subscribe();
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let pattern = current_pattern.borrow().clone();
                tokio::spawn(forward_request(client, server.clone(), pattern));
            }
        });
        Self { pattern, address }
    }

    /// Fails requests whose request line contains this text.
    pub fn fail_requests_with(&self, text: &str) {
        self.pattern.send_replace(text.to_owned());
    }

    /// Passes on all requests.
    pub fn restore(&self) {
        self.fail_requests_with(NO_REQUEST);
    }
}

/// Forwards one request and closes the connection, so that every request is checked.
async fn forward_request(mut client: TcpStream, server: String, pattern: String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match client.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8(head).unwrap();
    let (request_line, rest) = head.split_once("\r\n").unwrap();
    if request_line.contains(&pattern) {
        let response = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let _ = client.write_all(response.as_bytes()).await;
        return;
    }
    let mut server = TcpStream::connect(server).await.unwrap();
    let head = format!("{request_line}\r\nConnection: close\r\n{rest}");
    server.write_all(head.as_bytes()).await.unwrap();
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
}

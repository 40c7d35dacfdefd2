//! Connections in use are not closed when others need their slots.

#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body, routing::get};
use http_body::Body as _;
use http_body_util::BodyExt;
use service_runtime::http::{ServerLimits, serve};
use support::wait_for;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
};
use tokio_util::sync::CancellationToken;

/// More than the socket buffers of server and client hold.
const LARGE: usize = 32 << 20;

/// Starts a server with a limit of two connections.
async fn server(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(serve(
        listener,
        router.route("/ping", get(|| async { "pong" })),
        ServerLimits::with_connections(2),
        CancellationToken::new(),
    ));
    address
}

/// Sends a request and reads this many bytes of the response.
async fn send_request(stream: &mut TcpStream, request: &str, bytes: usize) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; bytes];
    wait_for("an answer", stream.read_exact(&mut answer))
        .await
        .unwrap();
    String::from_utf8(answer).unwrap()
}

const PING: &str = "GET /ping HTTP/1.1\r\nHost: x\r\n\r\n";
const STATUS: &str = "HTTP/1.1 200 OK";

/// Opens two more connections; another one must end for the second of them.
async fn fill_connections(address: SocketAddr) {
    let _idle = TcpStream::connect(address).await.unwrap();
    let mut next = TcpStream::connect(address).await.unwrap();
    assert_eq!(send_request(&mut next, PING, STATUS.len()).await, STATUS);
}

#[tokio::test]
async fn an_unread_response_is_not_cut_off() {
    let address = server(Router::new().route("/", get(|| async { vec![b'x'; LARGE] }))).await;
    let mut reader = TcpStream::connect(address).await.unwrap();
    let head = send_request(&mut reader, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", STATUS.len()).await;
    assert_eq!(head, STATUS);
    fill_connections(address).await;
    let mut read = 0;
    let mut chunk = vec![0; 1 << 16];
    while read < LARGE {
        let more = wait_for("the rest of the answer", reader.read(&mut chunk))
            .await
            .unwrap();
        assert_ne!(more, 0, "cut off after {read} bytes");
        read += more;
    }
}

/// A request that is refused early while the rest of its body is read in the background.
#[tokio::test]
async fn a_request_in_progress_is_not_cut_off() {
    let received = Arc::new(Notify::new());
    let notify = Arc::clone(&received);
    let refuse = async move |mut body: Body| {
        tokio::spawn(async move {
            while !body.is_end_stream() {
                body.frame().await.unwrap().unwrap();
            }
            notify.notify_one();
        });
        "refused"
    };
    let address = server(Router::new().route("/", get(refuse))).await;
    let mut sender = TcpStream::connect(address).await.unwrap();
    let request = "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345";
    assert_eq!(send_request(&mut sender, request, STATUS.len()).await, STATUS);
    fill_connections(address).await;
    sender.write_all(b"67890").await.unwrap();
    wait_for("the rest of the request", received.notified()).await;
}

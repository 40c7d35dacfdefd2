//! A server that responds as a test wants.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

pub fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one request and writes this response.
pub fn serve_one(stream: &mut (impl Read + Write), answer: &str) -> Option<String> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend(&buffer[..read]),
            _ => return None,
        }
    }
    stream.write_all(answer.as_bytes()).ok()?;
    stream.flush().ok()?;
    Some(String::from_utf8_lossy(&request).into_owned())
}

/// A server with a fixed response; returns its port and the requests.
pub fn server(answer: String) -> (String, Receiver<String>) {
    serve(move |mut stream| serve_one(&mut stream, &answer))
}

pub fn serve(
    mut handle: impl FnMut(TcpStream) -> Option<String> + Send + 'static,
) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Some(request) = handle(stream)
                && sender.send(request).is_err()
            {
                break;
            }
        }
    });
    (port.to_string(), receiver)
}

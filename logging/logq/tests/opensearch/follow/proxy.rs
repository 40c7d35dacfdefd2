//! A proxy between logq and OpenSearch that injects faults.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// The handling of new connections.
#[derive(Clone)]
enum Way {
    Through,
    /// Accepts, but never responds.
    Silent,
    /// Responds with this text instead of the server.
    Answer(String),
}

struct State {
    way: Way,
    listens: bool,
    open: Vec<TcpStream>,
}

/// The proxy. Forwards everything at first.
pub struct Proxy {
    port: u16,
    behind: String,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// A proxy for the server at this URL.
    pub fn for_server(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy = Self {
            port: listener.local_addr().unwrap().port(),
            behind: url.trim_start_matches("http://").trim_end_matches('/').to_owned(),
            state: Arc::new(Mutex::new(State {
                way: Way::Through,
                listens: true,
                open: Vec::new(),
            })),
        };
        proxy.listen(listener);
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Closes all connections and refuses new ones.
    pub fn refuse(&self) {
        self.state.lock().unwrap().listens = false;
        self.cut();
        // Wakes the accept loop.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
        while TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Closes all connections; new ones get no response.
    pub fn be_silent(&self) {
        self.become_of(Way::Silent);
    }

    /// Closes all connections; new ones get this response.
    pub fn answer(&self, status: u16, body: &str) {
        self.become_of(Way::Answer(format!(
            "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )));
    }

    /// Forwards again.
    pub fn heal(&self) {
        self.become_of(Way::Through);
        let mut state = self.state.lock().unwrap();
        if !state.listens {
            state.listens = true;
            drop(state);
            self.listen(TcpListener::bind(("127.0.0.1", self.port)).unwrap());
        }
    }

    /// Closes all connections; new ones work as before.
    pub fn cut(&self) {
        for stream in self.state.lock().unwrap().open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn become_of(&self, way: Way) {
        self.state.lock().unwrap().way = way;
        self.cut();
    }

    fn listen(&self, listener: TcpListener) {
        let behind = self.behind.clone();
        let state = Arc::clone(&self.state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let way = {
                    let mut state = state.lock().unwrap();
                    if !state.listens {
                        return;
                    }
                    state.open.push(stream.try_clone().unwrap());
                    state.way.clone()
                };
                match way {
                    Way::Through => {
                        let Ok(server) = TcpStream::connect(&behind) else {
                            continue;
                        };
                        state.lock().unwrap().open.push(server.try_clone().unwrap());
                        pump(stream.try_clone().unwrap(), server.try_clone().unwrap());
                        pump(server, stream);
                    }
                    Way::Silent => {}
                    Way::Answer(answer) => reply(stream, answer),
                }
            }
        });
    }
}

fn pump(mut from: TcpStream, mut to: TcpStream) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..read]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    });
}

fn reply(mut stream: TcpStream, answer: String) {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        if matches!(stream.read(&mut buffer), Ok(1..)) {
            let _ = stream.write_all(answer.as_bytes());
        }
    });
}

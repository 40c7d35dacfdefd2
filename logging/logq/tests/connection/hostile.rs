//! Output for servers that respond incorrectly.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::peer::answer;

/// Answers one request with the result of `reply` for its path and body.
fn serve(stream: &mut TcpStream, reply: &impl Fn(&str, &Value) -> String) -> Option<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 65_536];
    let whole = |request: &[u8]| {
        let end = request.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
        let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
            rest.split("\r\n").next().unwrap().parse::<usize>().unwrap()
        });
        (request.len() >= end + length).then_some(end)
    };
    let end = loop {
        if let Some(end) = whole(&request) {
            break end;
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend(&buffer[..read]),
            _ => return None,
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let path = head.split(' ').nth(1)?;
    let body = serde_json::from_slice(&request[end..]).unwrap_or_default();
    stream.write_all(reply(path, &body).as_bytes()).ok()
}

/// The URL of a server that answers with `reply`.
fn opensearch(reply: impl Fn(&str, &Value) -> String + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let reply = Arc::new(reply);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let reply = Arc::clone(&reply);
            thread::spawn(move || serve(&mut stream, &*reply));
        }
    });
    url
}

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_logq"));
    command
        .args(arguments)
        .env("LOGQ_OPENSEARCH_URL", url)
        .env("LOGQ_SOURCE", "opensearch")
        .env("LOGQ_SINCE", "all")
        .env("KUBECONFIG", "/nowhere/kubeconfig")
        .env("LOGQ_CONFIG", "");
    command
}

#[test]
fn too_large_pages_are_split() {
    const LINES: usize = 650;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let requested_sizes = Arc::clone(&sizes);
    let url = opensearch(move |path, body| {
        if path.contains("point_in_time") {
            return answer(200, r#"{"pit_id":"p"}"#);
        }
        let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
        let after = body["search_after"][0]
            .as_u64()
            .map_or(0, |after| after as usize + 1);
        requested_sizes.lock().unwrap().push(size);
        let hits: Vec<Value> = (after..LINES.min(after + size))
            .map(|number| {
                // 600 kB each from the 500th line on.
                let rest = if number < 500 { 0 } else { 600_000 };
                let message = format!("{number} {}", "x".repeat(rest));
                json!({ "_source": { "@timestamp": "2026-11-22T10:00:00Z", "message": message,
                    "event": { "id": number.to_string() } }, "sort": [number] })
            })
            .collect();
        let page = json!({ "hits": { "hits": hits } }).to_string();
        // First the circuit breaker's response, then a response above logq's limit.
        if page.len() > 20_000_000 {
            let reason =
                r#"{"error":{"type":"circuit_breaking_exception","reason":"[parent] Data too large"}}"#;
            return answer(429, reason);
        } else if page.len() > 10_000_000 {
            return answer(200, "{}").replace("content-length: 2", "content-length: 300000000");
        }
        answer(200, &page)
    });
    let output = command(&url, &["--fields", "message", "-o", "raw"])
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let shown = String::from_utf8_lossy(&output.stdout);
    let numbers = shown
        .lines()
        .map(|line| line.split(' ').next().unwrap().to_owned());
    let expected: Vec<String> = (0..LINES).map(|number| number.to_string()).collect();
    assert!(numbers.eq(expected), "{errors}");
    let sizes = sizes.lock().unwrap();
    assert!(sizes.len() < 30, "{}: {sizes:?}", sizes.len());
}

/// Starts a response with this header, then sends the output of `more`.
fn raw(
    head: &str,
    more: impl FnMut(&mut TcpStream) -> std::io::Result<()> + Send + Clone + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let head = head.to_owned();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let head = head.clone();
            let mut more = more.clone();
            thread::spawn(move || {
                let mut buffer = [0; 65_536];
                let _ = stream.read(&mut buffer);
                let _ = stream.write_all(head.as_bytes());
                while more(&mut stream).is_ok() {}
            });
        }
    });
    url
}

/// logq's errors for several commands. Checks that each ends in time and prints no control characters.
fn error_messages(name: &str, url: &str) -> Vec<String> {
    let commands: [&[&str]; 6] = [
        &["--trace", "4bf92f3577b34da6a3ce929d0e0e4736"],
        &["--stats"],
        &["-F"],
        &["-n", "a", "--photo", "17", "--with-all"],
        &["--source", "both", "--kube-context", "none"],
        &["doctor"],
    ];
    let message = commands.iter().map(|arguments| {
        let start = Instant::now();
        let mut command = command(url, arguments);
        let output = command.env("LOGQ_OPENSEARCH_TIMEOUT", "1").output().unwrap();
        let stderr = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let code = output.status.code();
        let is_right = code == Some(2) || arguments[0] == "doctor" && code == Some(1);
        assert!(is_right, "{name} {arguments:?}: {code:?} {stderr}");
        assert!(start.elapsed() < Duration::from_secs(30), "{name} {arguments:?}");
        let acts = |c: char| c.is_control() && c != '\n';
        assert!(
            !stderr.contains(acts) && !stderr.contains("panicked"),
            "{name} {arguments:?}: {stderr:?}"
        );
        stderr
    });
    message.collect()
}

#[test]
fn invalid_responses_end_with_an_error() {
    let is = |name: &str, url: String, part: &str| {
        for stderr in error_messages(name, &url) {
            assert!(stderr.contains(part), "{name}: {part} is missing in {stderr}");
        }
    };
    let always = |text: String| opensearch(move |_, _| text.clone());
    let escape = r#"{"error":{"type":"x\u001b[2J","reason":"no\u001b]0;x\u0007 memory"},"status":1}"#;
    is(
        "garbage",
        always("\u{1b}]0;x\u{7}\r\n\r\n".to_owned()),
        "OpenSearch at http",
    );
    is(
        "a page",
        always(answer(200, "<html>\u{1b}[2J")),
        "does not respond like OpenSearch",
    );
    for json in [
        "[]",
        "null",
        "17",
        r#"{"pit_id":1,"hits":{"hits":1}}"#,
        &"[".repeat(100_000),
    ] {
        is(
            json,
            always(answer(200, json)),
            "does not respond like OpenSearch",
        );
    }
    is(
        "half",
        always(answer(200, "{\"pit").replace("content-length: 5", "content-length: 50")),
        "OpenSearch at http",
    );
    is("busy", always(answer(429, escape)), "too busy");
    is("broken", always(answer(500, escape)), "(500)");
    is("rejected", always(answer(400, escape)), "(400");
    is("forbidden", always(answer(403, escape)), "(403)");
    let slow = raw("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n", |stream| {
        thread::sleep(Duration::from_millis(50));
        stream.write_all(b" ")
    });
    is("slow", slow, "did not answer within 1s");
    let endless = raw(
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        |stream| {
            thread::sleep(Duration::from_millis(20));
            stream.write_all(format!("100000\r\n{}\r\n", " ".repeat(1 << 20)).as_bytes())
        },
    );
    is("endless", endless, "did not answer within 1s");
}

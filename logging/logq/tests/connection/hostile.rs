//! What people see where OpenSearch is not what it should be.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};

use crate::peer::answer;

/// One request, answered with what `reply` makes of its path and body.
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

/// The address of an OpenSearch that answers so.
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

fn logq(url: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(arguments)
        .env("LOGQ_OPENSEARCH_URL", url)
        .env("LOGQ_SOURCE", "opensearch")
        .env("LOGQ_SINCE", "all")
        .env("LOGQ_CONFIG", "")
        .output()
        .unwrap()
}

#[test]
fn lines_that_are_too_long_for_a_page_come_in_smaller_ones() {
    const LINES: usize = 650;
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let asked = Arc::clone(&sizes);
    let url = opensearch(move |path, body| {
        if path.contains("point_in_time") {
            return answer(200, r#"{"pit_id":"p"}"#);
        }
        let size = usize::try_from(body["size"].as_u64().unwrap()).unwrap();
        let after = body["search_after"][0]
            .as_u64()
            .map_or(0, |after| after as usize + 1);
        asked.lock().unwrap().push(size);
        let hits: Vec<Value> = (after..LINES.min(after + size))
            .map(|number| {
                // 600 kB from the 500th on.
                let rest = if number < 500 { 0 } else { 600_000 };
                let message = format!("{number} {}", "x".repeat(rest));
                json!({ "_source": { "@timestamp": "2026-11-22T10:00:00Z", "message": message,
                    "event": { "id": number.to_string() } }, "sort": [number] })
            })
            .collect();
        let page = json!({ "hits": { "hits": hits } }).to_string();
        // As its circuit breaker does; and as an answer that is longer than is read.
        if page.len() > 20_000_000 {
            let reason =
                r#"{"error":{"type":"circuit_breaking_exception","reason":"[parent] Data too large"}}"#;
            return answer(429, reason);
        } else if page.len() > 10_000_000 {
            return answer(200, "{}").replace("content-length: 2", "content-length: 300000000");
        }
        answer(200, &page)
    });
    let output = logq(&url, &["--fields", "message", "-o", "raw"]);
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

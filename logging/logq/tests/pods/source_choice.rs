//! Choice of the source with `--source auto`.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Output,
    thread,
};

use crate::{PodsFixture, text, words};

/// Starts a server with a fixed response; returns its URL.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = peer.unwrap();
            let mut request = [0; 65_536];
            // The client may have closed the connection.
            let _ = peer.read(&mut request);
            let _ = peer.write_all(answer.as_bytes());
        }
    });
    url
}

/// A URL where nothing listens.
fn closed_port_url() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// The output with `--source auto`.
fn run_auto(pods: &PodsFixture, url: &str) -> Output {
    pods.logq(&["-o", "jsonl"])
        .env("LOGQ_SOURCE", "auto")
        .env("LOGQ_OPENSEARCH_URL", url)
        .output()
        .unwrap()
}

#[test]
fn pods_replace_an_unreachable_opensearch() {
    let pods = PodsFixture::with_world();
    for url in [closed_port_url(), "http://no-such-host.invalid:9200".to_owned()] {
        let output = run_auto(&pods, &url);
        let message = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (10, Some(0)),
            "{message}"
        );
        assert!(
            message.starts_with(&format!("logq: OpenSearch at {url}/ is unreachable: ")),
            "{message}"
        );
        for part in [
            "logq reads the pods of the context there instead",
            "deleted",
            "rotated files",
            "of removed nodes",
        ] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
    }
}

#[test]
fn pods_do_not_hide_errors_of_opensearch() {
    let pods = PodsFixture::with_world();
    for (answer, message) in [
        (
            "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "rejected the credentials (401)",
        ),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "denied the request to",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "rejected the request to",
        ),
        (
            "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "is too busy to",
        ),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            "(503)",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
            "does not respond like OpenSearch",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 75\r\nconnection: \
             close\r\n\r\n\
             {\"pit_id\":\"x\",\"_shards\":{\"total\":4,\"successful\":3,\"failed\":1},\"hits\":{}}     ",
            "only 3 of 4 shards",
        ),
        ("", "the connection was lost"),
    ] {
        let url = server(answer);
        let output = run_auto(&pods, &url);
        let errors = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (0, Some(2)),
            "{message}: {errors}"
        );
        assert!(
            errors.starts_with("logq: error: ") && errors.contains(message),
            "{message}: {errors}"
        );
        assert_eq!(pods.server.requests(), Vec::<String>::new(), "{message}");
    }
    // The same for TLS errors and invalid settings.
    for (url, message) in [
        (
            server("hello").replace("http:", "https:"),
            "TLS with OpenSearch at",
        ),
        ("nonsense".to_owned(), "LOGQ_OPENSEARCH_URL is not a URL"),
    ] {
        let output = pods
            .logq(&[])
            .env("LOGQ_SOURCE", "auto")
            .env("LOGQ_OPENSEARCH_URL", &url)
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(message), "{message}: {errors}");
    }
}

#[test]
fn error_without_any_source_suggests_a_remedy() {
    let pods = PodsFixture::empty();
    for source in ["auto", "both"] {
        let output = pods
            .logq(&[])
            .env("LOGQ_SOURCE", source)
            .env("LOGQ_OPENSEARCH_URL", closed_port_url())
            .env("KUBECONFIG", "/nowhere/kubeconfig")
            .output()
            .unwrap();
        let message = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{message}");
        for part in [
            "no source of lines",
            "is unreachable",
            "no kubeconfig: /nowhere/kubeconfig does not exist",
            "LOGQ_OPENSEARCH_URL",
            "KUBECONFIG",
            "logq FILE",
        ] {
            assert!(message.contains(part), "{part} is missing in {message}");
        }
        assert_eq!(message.lines().count(), 1, "{message}");
    }
}

#[test]
fn unavailable_source_of_both_is_reported() {
    let pods = PodsFixture::with_world();
    let output = pods
        .logq(&["-o", "jsonl", "--source", "both"])
        .env("LOGQ_OPENSEARCH_URL", closed_port_url())
        .output()
        .unwrap();
    let message = text(&output.stderr);
    assert_eq!(
        (words(&output).len(), output.status.code()),
        (10, Some(2)),
        "{message}"
    );
    assert!(message.starts_with("logq: error: OpenSearch at "), "{message}");
    assert!(!message.contains("lines only in"), "{message}");
}

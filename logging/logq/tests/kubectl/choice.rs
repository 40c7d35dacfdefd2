//! Which source is asked, where nobody names one.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Output,
    thread,
};

use crate::{Pods, text, words};

/// Answers every request so; returns where.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for peer in listener.incoming() {
            let mut peer = peer.unwrap();
            let mut request = [0; 65_536];
            // Whoever asks may be gone.
            let _ = peer.read(&mut request);
            let _ = peer.write_all(answer.as_bytes());
        }
    });
    url
}

/// Nothing listens there any more.
fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// What comes where nobody names a source.
fn asked(pods: &Pods, url: &str) -> Output {
    pods.logq(&["-o", "jsonl"])
        .env("LOGQ_SOURCE", "auto")
        .env("LOGQ_OPENSEARCH_URL", url)
        .output()
        .unwrap()
}

#[test]
fn pods_stand_in_where_opensearch_cannot_be_reached() {
    let pods = Pods::of_the_world();
    for url in [nowhere(), "http://no-such-host.invalid:9200".to_owned()] {
        let output = asked(&pods, &url);
        let told = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (10, Some(0)),
            "{told}"
        );
        assert!(
            told.starts_with(&format!("logq: OpenSearch at {url}/ is unreachable: ")),
            "{told}"
        );
        for part in [
            "logq reads the pods of the context there with kubectl instead",
            "deleted",
            "rotated files",
            "of removed nodes",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
    }
}

#[test]
fn what_opensearch_answers_is_never_hidden_by_pods() {
    let pods = Pods::of_the_world();
    for (answer, told) in [
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
        let output = asked(&pods, &url);
        let errors = text(&output.stderr);
        assert_eq!(
            (words(&output).len(), output.status.code()),
            (0, Some(2)),
            "{told}: {errors}"
        );
        assert!(
            errors.starts_with("logq: error: ") && errors.contains(told),
            "{told}: {errors}"
        );
        assert_eq!(pods.calls(), Vec::<String>::new(), "{told}");
    }
    // What is no TLS, and settings that are none, neither.
    for (url, told) in [
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
        assert!(errors.contains(told), "{told}: {errors}");
    }
}

#[test]
fn where_neither_is_there_it_is_told_what_helps() {
    let pods = Pods::none();
    for source in ["auto", "both"] {
        let output = pods
            .logq(&[])
            .env("LOGQ_SOURCE", source)
            .env("LOGQ_OPENSEARCH_URL", nowhere())
            .env("LOGQ_KUBECTL", "/nowhere/kubectl")
            .output()
            .unwrap();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{told}");
        for part in [
            "no source of lines",
            "is unreachable",
            "/nowhere/kubectl: the program does not exist",
            "LOGQ_OPENSEARCH_URL",
            "LOGQ_KUBECTL",
            "logq FILE",
        ] {
            assert!(told.contains(part), "{part} is missing in {told}");
        }
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn one_of_both_that_is_away_is_told_and_the_other_shown() {
    let pods = Pods::of_the_world();
    let output = pods
        .logq(&["-o", "jsonl", "--source", "both"])
        .env("LOGQ_OPENSEARCH_URL", nowhere())
        .output()
        .unwrap();
    let told = text(&output.stderr);
    assert_eq!(
        (words(&output).len(), output.status.code()),
        (10, Some(2)),
        "{told}"
    );
    assert!(told.starts_with("logq: error: OpenSearch at "), "{told}");
    assert!(!told.contains("lines only in"), "{told}");
}

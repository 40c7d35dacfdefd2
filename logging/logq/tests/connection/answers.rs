//! Missing, partial and negative responses.

use std::fmt::Display;
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use logq::opensearch::{Error, Unreachable};

use crate::{
    PASSWORD, client,
    peer::{answer, serve, serve_one, server},
    search,
};

/// The error of a request to a server at this port, without credentials.
async fn error_of_server(port: impl Display) -> Error {
    let url = format!("http://127.0.0.1:{port}");
    search(&client(&[("URL", &url)])).await.unwrap_err()
}

#[tokio::test]
async fn refused_connection_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = error_of_server(port).await;
    assert!(
        matches!(
            &error,
            Error::Unreachable {
                reason: Unreachable::Refused,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(
        error.to_string(),
        format!(
            "OpenSearch at http://127.0.0.1:{port}/ is unreachable: the connection was refused: nothing \
             listens there. Check LOGQ_OPENSEARCH_URL"
        )
    );
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn unknown_host_is_unreachable() {
    let error = search(&client(&[("URL", "http://opensearch.invalid:9200")]))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            Error::Unreachable {
                reason: Unreachable::Name,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn silent_server_is_unreachable_for_the_probe() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let patience = Duration::from_millis(100);
    let error = client(&[("URL", &url)]).reach(patience).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { reason: Unreachable::Timeout(after), .. } if after == patience),
        "{error:?}"
    );
    // A request for lines reports the timeout as an error of an established connection.
    let error = search(&client(&[("URL", &url), ("TIMEOUT", "1")]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    assert!(error.to_string().contains("did not answer within 1s"), "{error}");
}

#[tokio::test]
async fn http_errors_are_distinguished_and_keep_the_reason() {
    let reason = r#"{"error":{"root_cause":[],"type":"parsing_exception","reason":"unknown query [x]","caused_by":{"type":"a","reason":"did you mean y"}},"status":0}"#;
    for status in [400, 401, 403, 404, 429, 500, 503] {
        let (port, _requests) = server(answer(status, reason));
        let url = format!("http://127.0.0.1:{port}");
        let values = [
            ("URL", url.as_str()),
            ("USERNAME", "reader"),
            ("PASSWORD", PASSWORD),
        ];
        let error = search(&client(&values)).await.unwrap_err();
        let right = match status {
            401 => matches!(error, Error::Unauthorized { .. }),
            403 => matches!(error, Error::Forbidden { .. }),
            429 => matches!(error, Error::Busy { .. }),
            500 | 503 => matches!(error, Error::Failed { .. }),
            _ => error.rejection_status() == Some(status) && error.is_kind("parsing_exception"),
        };
        let text = error.to_string();
        assert!(right, "{status}: {error:?}");
        assert!(
            text.contains(&status.to_string()) && text.contains(&url),
            "{text}"
        );
        assert!(
            status == 401 || text.contains("unknown query [x]: did you mean y"),
            "{text}"
        );
        assert!(!error.is_unreachable() && !text.contains(PASSWORD), "{text}");
        assert!(
            !matches!(status, 401 | 403) || text.contains("as the user reader"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn partial_response_is_an_error() {
    let partial = r#"{"timed_out":false,"_shards":{"total":9,"successful":7,"failed":2,"failures":[{"shard":0,"reason":{"type":"x","reason":"the disk is gone"}}]},"hits":{}}"#;
    let (port, _requests) = server(answer(200, partial));
    let error = error_of_server(port).await;
    assert!(
        matches!(
            error,
            Error::Partial {
                successful: 7,
                total: 9,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(error.to_string().contains("the disk is gone"), "{error}");

    let late = r#"{"timed_out":true,"_shards":{"total":9,"successful":9,"failed":0},"hits":{}}"#;
    let (port, _requests) = server(answer(200, late));
    let error = error_of_server(port).await;
    assert!(matches!(error, Error::Partial { .. }), "{error:?}");

    let cut = answer(200, "{\"hits\":").replace("content-length: 8", "content-length: 800");
    let (port, _requests) = server(cut);
    let error = error_of_server(port).await;
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");

    let (port, _requests) = server(answer(200, "<html>welcome</html>"));
    let error = error_of_server(port).await;
    assert!(matches!(error, Error::Unexpected { .. }), "{error:?}");
}

#[tokio::test]
async fn redirect_target_gets_no_password() {
    let (other, requests) = server(answer(200, "{}"));
    for status in [302, 307, 308] {
        let moved = answer(status, "").replace(
            "connection: close",
            &format!("location: http://127.0.0.1:{other}/\r\nconnection: close"),
        );
        let (port, _requests) = server(moved);
        let url = format!("http://127.0.0.1:{port}");
        for identity in [
            [("USERNAME", "reader"), ("PASSWORD", PASSWORD)].as_slice(),
            &[("TOKEN", PASSWORD)],
        ] {
            let values = [[("URL", url.as_str())].as_slice(), identity].concat();
            let error = search(&client(&values)).await.unwrap_err();
            let message = format!("it redirects to http://127.0.0.1:{other}");
            assert!(
                matches!(error, Error::Unexpected { .. }) && error.to_string().contains(&message),
                "{status}: {error:?}"
            );
        }
    }
    let requests: Vec<String> = requests.try_iter().collect();
    assert_eq!(requests.len(), 6);
    for request in requests {
        assert!(!request.to_lowercase().contains("authorization"), "{request}");
    }
}

#[tokio::test]
async fn too_large_response_is_rejected() {
    let long = answer(200, "{}").replace("content-length: 2", "content-length: 300000000");
    let (port, _requests) = server(long);
    let error = error_of_server(port).await;
    assert!(
        matches!(
            error,
            Error::TooLong {
                bytes: 300_000_000,
                ..
            }
        ) && error.is_too_large(),
        "{error:?}"
    );
    assert!(error.to_string().contains("286 MiB"), "{error}");
}

/// A process reads the proxy variables only when it starts.
#[test]
fn local_server_bypasses_the_proxy() {
    let (port, _requests) = server(answer(200, "{}"));
    let (proxy, requests) = server(answer(502, "{}"));
    let proxy = format!("http://127.0.0.1:{proxy}");
    let ask = |url: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(["--source", "opensearch"])
            .env("LOGQ_OPENSEARCH_URL", url)
            .envs([
                ("http_proxy", &proxy),
                ("HTTP_PROXY", &proxy),
                ("ALL_PROXY", &proxy),
            ])
            .env("LOGQ_CONFIG", "")
            .output()
            .unwrap();
        String::from_utf8(output.stderr).unwrap()
    };
    for host in ["127.0.0.1", "localhost"] {
        let errors = ask(&format!("http://{host}:{port}"));
        assert!(errors.contains("the response has no pit_id"), "{errors}");
    }
    assert_eq!(requests.try_iter().count(), 0);
    let errors = ask("http://opensearch.invalid:9200");
    assert!(
        errors.contains("502") && requests.try_iter().count() == 1,
        "{errors}"
    );
}

#[tokio::test]
async fn other_server_is_distinguished_from_opensearch() {
    for (page, is_other) in [
        ("<h1>Not Found</h1>", true),
        // OpenSearch Dashboards and RabbitMQ.
        (
            r#"{"statusCode":404,"error":"Not Found","message":"Not Found"}"#,
            true,
        ),
        (r#"{"error":"Object Not Found","reason":"Not Found"}"#, true),
        // OpenSearch's responses for a missing pipeline, document and alias.
        ("{}", false),
        ("", false),
        (r#"{"error":"alias [x] missing","status":404}"#, false),
    ] {
        let (port, _requests) = server(answer(404, page));
        let error = error_of_server(port).await;
        let message = error.to_string();
        assert_eq!(matches!(error, Error::Unexpected { .. }), is_other, "{error:?}");
        let asks = message.contains("Does LOGQ_OPENSEARCH_URL point to OpenSearch");
        assert_eq!(asks, is_other, "{message}");
    }
}

/// Runs logq with a starting server; returns the first requests and the messages.
fn requests_during_startup(arguments: &[&str]) -> (Vec<String>, String) {
    let mut left = 2;
    let (port, requests) = serve(move |mut stream| {
        let starting = r#"{"error":{"type":"cluster_manager_not_discovered_exception","reason":"none yet"},"status":503}"#;
        left -= 1;
        let (status, body) = if left >= 0 { (503, starting) } else { (400, "{}") };
        serve_one(&mut stream, &answer(status, body))
    });
    let output = Command::new(env!("CARGO_BIN_EXE_logq"))
        .args(["admin", "bootstrap"])
        .args(arguments)
        .env("LOGQ_OPENSEARCH_URL", format!("http://127.0.0.1:{port}"))
        .env("LOGQ_CONFIG", "")
        .output()
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "the request after the startup fails"
    );
    let first_lines = requests
        .try_iter()
        .filter_map(|request| request.lines().next().map(str::to_owned))
        .collect();
    (first_lines, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn bootstrap_waits_for_a_starting_server_with_wait() {
    let (requests, message) = requests_during_startup(&["--wait", "30s"]);
    let health = "GET /_cluster/health?timeout=1s HTTP/1.1";
    assert_eq!(requests.len(), 3, "{requests:?}");
    assert!(requests.iter().all(|line| line == health), "{requests:?}");
    assert!(message.contains("400"), "{message}");

    let (requests, message) = requests_during_startup(&[]);
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert!(message.contains("503"), "{message}");
}

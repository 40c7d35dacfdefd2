//! The log line of a refused request names the client and the reason.

use serde_json::{Value, json};

use super::{
    access::tokens,
    fixture::{Answer, WebFixture, eventually, log},
    test_images::{jpeg, png},
};

const PHOTOS: &str = "/projects/site-1/photos";

/// Sends a request with a trace id of its own; returns the response and the request's log line.
async fn send_and_find_log_line(web: &WebFixture, request: reqwest::RequestBuilder) -> (Answer, Value) {
    let trace = format!("{:032x}", next_trace());
    let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let answer = Answer::from_response(request.send().await.unwrap()).await;
    let lines = log().lines(&trace);
    assert_eq!(lines.len(), 1, "one line for a request: {lines:?}");
    assert!(web.address.ip().is_loopback());
    (answer, lines.into_iter().next().unwrap())
}

fn next_trace() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0x5eed_0000_0000_0001);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

async fn web() -> WebFixture {
    WebFixture::start_with(|overrides| {
        *overrides.tokens = tokens();
        overrides.settings.upload.max_bytes = 4_000;
        overrides.settings.upload.max_pixels = 1_000_000;
    })
    .await
}

/// A PNG header with this size in pixels.
fn large(width: u32, height: u32) -> Vec<u8> {
    png(width, height)
}

fn form(photo: Vec<u8>) -> reqwest::multipart::Form {
    reqwest::multipart::Form::new().part("image", reqwest::multipart::Part::bytes(photo))
}

#[tokio::test]
async fn the_log_line_of_a_refused_request_names_client_and_cause() {
    let web = web().await;
    let post = |token: &str| {
        web.http
            .post(web.url(PHOTOS))
            .bearer_auth(format!("{token}-token"))
    };
    let get = |token: &str, path: &str| web.http.get(web.url(path)).bearer_auth(format!("{token}-token"));
    let other = post("camera").body(jpeg(64, 48, 900, 9)).send().await.unwrap();
    let other = Answer::from_response(other).await.id();
    let of_site_2 = web.http.post(web.url("/projects/site-2/photos"));
    let streamed = reqwest::Body::wrap_stream(futures::stream::iter([Ok::<_, std::io::Error>(jpeg(
        64, 48, 9_000, 1,
    ))]));

    let cases = [
        (
            web.http.post(web.url(PHOTOS)).body(jpeg(64, 48, 900, 1)),
            json!([401, "unauthenticated", { "reason": "no-token", "project": "site-1" }]),
        ),
        (
            web.http
                .get(web.url("/projects"))
                .basic_auth("camera", Some("camera-token")),
            json!([401, "unauthenticated", { "reason": "no-bearer-token" }]),
        ),
        (
            post("stranger").body(jpeg(64, 48, 900, 1)),
            json!([401, "unauthenticated", { "reason": "unknown-token", "project": "site-1" }]),
        ),
        (
            get("camera", PHOTOS),
            json!([403, "forbidden", { "reason": "wrong-scope", "token": { "name": "camera" }, "project": "site-1" }]),
        ),
        (
            of_site_2.bearer_auth("camera-1-token").body(jpeg(64, 48, 900, 1)),
            json!([403, "forbidden", { "reason": "wrong-project", "token": { "name": "camera-1" }, "project": "site-2" }]),
        ),
        (
            get("camera-1", "/projects/site-2/photos"),
            json!([403, "forbidden", { "reason": "wrong-project", "token": { "name": "camera-1" }, "project": "site-2" }]),
        ),
        (
            post("camera").body(jpeg(64, 48, 9_000, 1)),
            json!([413, "too-large", { "photo": { "size_bytes": 9_000 }, "limit": 4_000, "token": { "name": "camera" } }]),
        ),
        (
            post("camera").body(streamed),
            json!([413, "too-large", { "limit": 4_000, "token": { "name": "camera" } }]),
        ),
        (
            post("camera").multipart(form(jpeg(64, 48, 9_000, 1))),
            json!([413, "too-large", { "limit": 4_000 }]),
        ),
        (
            post("camera").body(large(2_000, 1_000)),
            json!([422, "too-many-pixels", {
                "photo": { "width_pixels": 2_000, "height_pixels": 1_000 }, "limit": 1_000_000, "project": "site-1",
            }]),
        ),
        (
            post("camera").body(large(65_501, 1)),
            json!([422, "too-many-pixels", {
                "photo": { "width_pixels": 65_501, "height_pixels": 1 }, "limit": 65_500,
            }]),
        ),
        (
            post("camera").body("GIF89a\n and much more"),
            json!([415, "unsupported-format", { "token": { "name": "camera" }, "error": {
                "message": "the file is neither JPEG nor PNG nor WebP: it begins with \"GIF89a\\n and much\"",
            } }]),
        ),
        (
            web.http
                .post(web.url("/"))
                .bearer_auth("camera-token")
                .body(jpeg(64, 48, 900, 1)),
            json!([415, "form-expected", { "reason": "no-content-type" }]),
        ),
        (
            post("camera"),
            json!([422, "damaged-image", {
                "error": { "message": "the body is empty: send the photo's bytes, or a form with them" },
            }]),
        ),
        (
            web.http
                .post(web.url(&format!("{PHOTOS}?taken_at=yesterday")))
                .bearer_auth("camera-token"),
            json!([400, "invalid-taken-at", { "token": { "name": "camera" } }]),
        ),
        (
            get("office", "/projects/site-1/photos?limit=501"),
            json!([400, "invalid-query", { "error": { "message": "limit must be from 1 to 500" } }]),
        ),
        (
            get("office", "/projects/site-1/photos?limit=many"),
            json!([400, "invalid-query", { "error": { "message": "limit: invalid digit found in string" } }]),
        ),
        (
            get("office", "/projects/a%20b/photos"),
            json!([400, "invalid-project", {}]),
        ),
        (get("office", "/admin.php"), json!([404, "not-found", {}])),
        (
            get("office", "/photos/4711"),
            json!([404, "photo-unknown", { "photo": { "id": 4711 } }]),
        ),
        (
            web.http.delete(web.url("/projects")).bearer_auth("office-token"),
            json!([405, "method-not-allowed", {}]),
        ),
    ];
    for (request, expected) in cases {
        let (answer, line) = send_and_find_log_line(&web, request).await;
        let (status, code) = (expected[0].as_u64().unwrap(), expected[1].as_str().unwrap());
        assert_eq!(
            (u64::from(answer.status), &line["problem"]["code"]),
            (status, &json!(code)),
            "{line}"
        );
        assert_eq!(line["http"]["response"]["status_code"], status);
        assert_eq!(
            (&line["level"], &line["client"]["address"]),
            (&json!("warn"), &json!("127.0.0.1")),
            "{line}"
        );
        assert!(
            contains(&line, &expected[2]),
            "{line}\nmust contain {}",
            expected[2]
        );
        // The client gets no more than before, and no line contains a token.
        for token in ["camera-token", "camera-1-token", "office-token", "stranger-token"] {
            assert!(!line.to_string().contains(token), "{line}");
        }
        assert!(answer.json().get("reason").is_none());
    }

    // A photo of another project: unknown to the client, but not to the operator.
    web.execute("UPDATE photo SET project = 'site-2'").await;
    let (answer, line) = send_and_find_log_line(&web, get("camera-1", &format!("/photos/{other}"))).await;
    answer.expect_problem(404, "photo-unknown");
    assert!(
        contains(
            &line,
            &json!({ "reason": "wrong-project", "token": { "name": "camera-1" } })
        ),
        "{line}"
    );
}

/// Whether `line` contains every member of `expected`.
fn contains(line: &Value, expected: &Value) -> bool {
    match expected {
        Value::Object(members) => members.iter().all(|(name, value)| contains(&line[name], value)),
        other => line == other,
    }
}

#[tokio::test]
async fn polling_for_an_image_is_not_logged_as_a_refusal() {
    let web = WebFixture::start().await;
    let id = web.post(PHOTOS, jpeg(64, 48, 900, 1)).await.id();
    let request = web.http.get(web.url(&format!("/photos/{id}/image")));
    let (answer, line) = send_and_find_log_line(&web, request).await;
    answer.expect_problem(409, "photo-not-ready");
    assert_eq!(line["level"], "info", "{line}");
    let (answer, line) = send_and_find_log_line(&web, web.http.get(web.url("/projects"))).await;
    assert_eq!((answer.status, &line["level"]), (200, &json!("info")));
    assert!(
        line.get("client").is_none(),
        "a viewer's address is not logged: {line}"
    );
}

#[tokio::test]
async fn a_trusted_proxy_names_the_client() {
    for (trusted, expected) in [("127.0.0.0/8, ::1", "192.0.2.7"), ("10.0.0.0/8", "127.0.0.1")] {
        let web =
            WebFixture::start_with(|overrides| overrides.settings.trusted_proxies = trusted.parse().unwrap())
                .await;
        let request = web.http.get(web.url("/nothing"));
        let (_, line) =
            send_and_find_log_line(&web, request.header("X-Forwarded-For", "10.9.9.9, 192.0.2.7")).await;
        assert_eq!(line["client"]["address"], expected, "{line}");
    }
}

#[tokio::test]
async fn malformed_http_is_logged() {
    let web = WebFixture::start().await;
    let refused = || {
        let lines = log().lines("malformed-http");
        lines
            .into_iter()
            .filter(|line| line["client"]["address"] == "127.0.0.1")
            .count()
    };
    let before = refused();
    let mut long = b"GET / HTTP/1.1\r\nX: ".to_vec();
    long.resize(64 * 1024, b'x');
    for (bytes, status) in [(&b"\x16\x03\x01 TLS here?\r\n\r\n"[..], 400), (&long, 431)] {
        assert_eq!(web.raw(bytes).await.status, status);
    }
    eventually("both are in the log", async || refused() >= before + 2).await;
    assert!(
        log()
            .lines("malformed-http")
            .iter()
            .all(|line| line["level"] == "warn")
    );
}

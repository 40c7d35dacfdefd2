//! What is told of a connection that fails, and of answers that are none.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use logq::opensearch::{Client, Error, Method, Settings, Unreachable};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

const PASSWORD: &str = "hunter2-never-shown";

fn settings(values: &[(&str, &str)]) -> Result<Settings, logq::opensearch::SettingsError> {
    let values: HashMap<String, String> = values
        .iter()
        .map(|(name, value)| (format!("LOGQ_OPENSEARCH_{name}"), (*value).to_owned()))
        .collect();
    Settings::read(&|name| values.get(name).cloned())
}

fn client(values: &[(&str, &str)]) -> Client {
    Client::new(&settings(values).unwrap()).unwrap()
}

async fn search(client: &Client) -> Result<serde_json::Value, Error> {
    client
        .ask(
            "find lines",
            Method::Post,
            "/logs-*/_search",
            &[],
            Some(&serde_json::json!({})),
        )
        .await
}

fn answer(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Reads one request and writes this answer.
fn serve_one(stream: &mut (impl Read + Write), answer: &str) -> Option<String> {
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

/// A server that answers every request so; returns its address, and the requests.
fn server(answer: String) -> (String, Receiver<String>) {
    serve(move |mut stream| serve_one(&mut stream, &answer))
}

fn serve(mut handle: impl FnMut(TcpStream) -> Option<String> + Send + 'static) -> (String, Receiver<String>) {
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

#[tokio::test]
async fn nothing_that_listens_is_unreachable() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let error = search(&client(&[("URL", &format!("http://127.0.0.1:{port}"))]))
        .await
        .unwrap_err();
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
            "OpenSearch at http://127.0.0.1:{port}/ cannot be reached: the connection was refused: nothing listens there. Is LOGQ_OPENSEARCH_URL right?"
        )
    );
    assert!(error.is_unreachable());
}

#[tokio::test]
async fn a_name_that_nobody_knows_is_unreachable() {
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
async fn silence_is_unreachable_for_who_asks_whether_it_is_there() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let patience = Duration::from_millis(100);
    let error = client(&[("URL", &url)]).reach(patience).await.unwrap_err();
    assert!(
        matches!(error, Error::Unreachable { reason: Unreachable::Timeout(after), .. } if after == patience),
        "{error:?}"
    );
    // Who has asked for lines is told of an answer that does not come; nothing stands in for it.
    let error = search(&client(&[("URL", &url), ("TIMEOUT", "1")]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");
    assert!(error.to_string().contains("did not answer within 1s"), "{error}");
}

#[tokio::test]
async fn refusals_are_told_apart_and_carry_the_server_s_reason() {
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
            _ => error.rejected_with() == Some(status) && error.is_kind("parsing_exception"),
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
async fn half_an_answer_is_none() {
    let partial = r#"{"timed_out":false,"_shards":{"total":9,"successful":7,"failed":2,"failures":[{"shard":0,"reason":{"type":"x","reason":"the disk is gone"}}]},"hits":{}}"#;
    let (port, _requests) = server(answer(200, partial));
    let error = search(&client(&[("URL", &format!("http://127.0.0.1:{port}"))]))
        .await
        .unwrap_err();
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
    let error = search(&client(&[("URL", &format!("http://127.0.0.1:{port}"))]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Partial { .. }), "{error:?}");

    let cut = answer(200, "{\"hits\":").replace("content-length: 8", "content-length: 800");
    let (port, _requests) = server(cut);
    let error = search(&client(&[("URL", &format!("http://127.0.0.1:{port}"))]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Interrupted { .. }), "{error:?}");

    let (port, _requests) = server(answer(200, "<html>welcome</html>"));
    let error = search(&client(&[("URL", &format!("http://127.0.0.1:{port}"))]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Strange { .. }), "{error:?}");
}

#[tokio::test]
async fn credentials_are_sent_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    // base64 of `reader:hunter2-never-shown`
    let basic = "authorization: Basic cmVhZGVyOmh1bnRlcjItbmV2ZXItc2hvd24=";
    let (port, requests) = server(answer(200, "{}"));
    let url = format!("http://127.0.0.1:{port}");
    for (values, header) in [
        (
            vec![("USERNAME", "reader"), ("PASSWORD", PASSWORD)],
            basic.to_owned(),
        ),
        (
            vec![("USERNAME", "reader"), ("PASSWORD_FILE", file.to_str().unwrap())],
            basic.to_owned(),
        ),
        (
            vec![("TOKEN_FILE", file.to_str().unwrap())],
            format!("authorization: Bearer {PASSWORD}"),
        ),
    ] {
        let mut values = values;
        values.push(("URL", &url));
        let settings = settings(&values).unwrap();
        let client = Client::new(&settings).unwrap();
        search(&client).await.unwrap();
        let request = requests.recv().unwrap();
        assert!(request.contains(&header), "{request}");
        for shown in [
            format!("{settings:?}"),
            format!("{client:?}"),
            settings.identity(),
        ] {
            assert!(!shown.contains(PASSWORD), "{shown}");
        }
    }
}

#[test]
fn every_mistake_in_the_settings_is_told_at_once_and_no_secret() {
    let error = settings(&[
        ("URL", "https://reader:hunter2-never-shown@search:9200"),
        ("PASSWORD", PASSWORD),
        ("PASSWORD_FILE", "/nowhere"),
        ("CA", "/nowhere/ca.pem"),
        ("CLIENT_CERT", "/nowhere/cert.pem"),
        ("TIMEOUT", "soon"),
    ])
    .unwrap_err();
    let text = error.to_string();
    for name in ["URL", "PASSWORD_FILE", "CA", "CLIENT_KEY", "TIMEOUT"] {
        assert!(
            text.contains(&format!("LOGQ_OPENSEARCH_{name}")),
            "{name}: {text}"
        );
    }
    assert!(!text.contains(PASSWORD), "{text}");
    for (values, part) in [
        (vec![("USERNAME", "a")], "PASSWORD is not"),
        (vec![("PASSWORD", "a")], "USERNAME is not"),
        (
            vec![("USERNAME", "a"), ("PASSWORD", "b"), ("TOKEN", "c")],
            "which one",
        ),
        (vec![("URL", "search:9200")], "http:// or https://"),
        (vec![("URL", "http://search:9200/?a=b")], "must not hold"),
    ] {
        let text = settings(&values).unwrap_err().to_string();
        assert!(text.contains(part), "{values:?}: {text}");
    }
}

/// An authority with a certificate for a server and one for a client, as PEM files.
struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        let this = Self { folder, issuer };
        this.certify("server", &["127.0.0.1"], |_| {});
        this.certify("elsewhere", &["search.example"], |_| {});
        this.certify("expired", &["127.0.0.1"], |params| {
            params.not_before = rcgen::date_time_ymd(2001, 1, 1);
            params.not_after = rcgen::date_time_ymd(2002, 1, 1);
        });
        this.certify("client", &["logq"], |_| {});
        this
    }

    fn certify(&self, name: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(self.folder.path().join(format!("{name}.pem")), certificate.pem()).unwrap();
        fs::write(
            self.folder.path().join(format!("{name}.key")),
            key.serialize_pem(),
        )
        .unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn read(&self, name: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        (
            CertificateDer::from_pem_file(Path::new(&self.path(&format!("{name}.pem")))).unwrap(),
            PrivateKeyDer::from_pem_file(Path::new(&self.path(&format!("{name}.key")))).unwrap(),
        )
    }

    /// A server with this certificate, which may ask for one of the client's.
    fn server(&self, name: &str, wants_client: bool) -> (String, Receiver<String>) {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .unwrap();
        let (certificate, key) = self.read(name);
        let builder = if wants_client {
            let mut roots = RootCertStore::empty();
            roots
                .add(CertificateDer::from_pem_file(Path::new(&self.path("ca.pem"))).unwrap())
                .unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .unwrap();
            builder.with_client_cert_verifier(verifier)
        } else {
            builder.with_no_client_auth()
        };
        let config = Arc::new(builder.with_single_cert(vec![certificate], key).unwrap());
        let (port, requests) = serve(move |stream| {
            let connection = ServerConnection::new(config.clone()).unwrap();
            serve_one(&mut StreamOwned::new(connection, stream), &answer(200, "{}"))
        });
        (format!("https://127.0.0.1:{port}"), requests)
    }
}

async fn tls_failure(values: &[(&str, &str)]) -> String {
    let error = search(&client(values)).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(!error.is_unreachable());
    error.to_string()
}

#[tokio::test]
async fn tls_failures_say_what_to_do() {
    let authority = Authority::new();
    let ca = authority.path("ca.pem");
    let (url, _requests) = authority.server("server", false);
    let text = tls_failure(&[("URL", &url)]).await;
    assert!(text.contains("LOGQ_OPENSEARCH_CA"), "{text}");
    search(&client(&[("URL", &url), ("CA", &ca)])).await.unwrap();

    let (url, _requests) = authority.server("elsewhere", false);
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(
        text.contains("search.example") && text.contains("for another name"),
        "{text}"
    );

    let (url, _requests) = authority.server("expired", false);
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(text.contains("has expired"), "{text}");

    let (port, _requests) = serve(|mut stream| {
        // A handshake has no end that a plain server would wait for.
        let _ = stream.read(&mut [0; 16]);
        let _ = stream.write_all(answer(400, "{}").as_bytes());
        None
    });
    let url = format!("https://127.0.0.1:{port}");
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(text.contains("try http://"), "{text}");
}

#[tokio::test]
async fn a_client_certificate_is_shown_where_one_is_wanted_and_a_password_beside_it() {
    let authority = Authority::new();
    let (ca, certificate, key) = (
        authority.path("ca.pem"),
        authority.path("client.pem"),
        authority.path("client.key"),
    );
    let (url, requests) = authority.server("server", true);
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(text.contains("LOGQ_OPENSEARCH_CLIENT_CERT"), "{text}");
    let values = [
        ("URL", url.as_str()),
        ("CA", &ca),
        ("CLIENT_CERT", &certificate),
        ("CLIENT_KEY", &key),
        ("USERNAME", "reader"),
        ("PASSWORD", PASSWORD),
    ];
    search(&client(&values)).await.unwrap();
    let request = requests.recv().unwrap();
    assert!(request.contains("authorization: Basic "), "{request}");

    let broken = [
        ("URL", url.as_str()),
        ("CA", &ca),
        ("CLIENT_CERT", &ca),
        ("CLIENT_KEY", &ca),
    ];
    let error = Client::new(&settings(&broken).unwrap()).unwrap_err();
    assert!(
        error.to_string().contains("LOGQ_OPENSEARCH_CLIENT_CERT"),
        "{error}"
    );
}

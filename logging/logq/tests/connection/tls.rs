//! TLS errors and client certificates.

use std::io::{Read, Write};

use logq::opensearch::{Client, Error};

use crate::{
    PASSWORD,
    authority::TestCertificates,
    client,
    peer::{answer, serve},
    search, settings,
};

async fn tls_failure(values: &[(&str, &str)]) -> String {
    let error = search(&client(values)).await.unwrap_err();
    assert!(matches!(error, Error::Tls { .. }), "{error:?}");
    assert!(!error.is_unreachable());
    error.to_string()
}

#[tokio::test]
async fn tls_errors_suggest_a_remedy() {
    let authority = TestCertificates::new();
    let ca = authority.path("ca.pem");
    let (url, _requests) = authority.server("server", false);
    let text = tls_failure(&[("URL", &url)]).await;
    assert!(text.contains("LOGQ_OPENSEARCH_CA"), "{text}");
    search(&client(&[("URL", &url), ("CA", &ca)])).await.unwrap();

    let (url, _requests) = authority.server("elsewhere", false);
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(
        text.contains("search.example") && text.contains("for another host name"),
        "{text}"
    );

    let (url, _requests) = authority.server("expired", false);
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(text.contains("has expired"), "{text}");

    let (port, _requests) = serve(|mut stream| {
        // A TLS handshake has no end of a request that this server could detect.
        let _ = stream.read(&mut [0; 16]);
        let _ = stream.write_all(answer(400, "{}").as_bytes());
        None
    });
    let url = format!("https://127.0.0.1:{port}");
    let text = tls_failure(&[("URL", &url), ("CA", &ca)]).await;
    assert!(text.contains("try http://"), "{text}");
}

#[tokio::test]
async fn client_certificate_and_password_are_sent_together() {
    let authority = TestCertificates::new();
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

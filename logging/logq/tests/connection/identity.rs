//! Credentials: sent correctly, never shown.

use std::fs;

use logq::opensearch::Client;

use crate::{
    PASSWORD,
    peer::{answer, server},
    search, settings,
};

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
fn all_setting_errors_are_reported_without_secrets() {
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
            "set only one",
        ),
        (vec![("URL", "search:9200")], "must be http://HOST"),
        (vec![("URL", "http://search:9200/?a=b")], "must not contain"),
    ] {
        let text = settings(&values).unwrap_err().to_string();
        assert!(text.contains(part), "{values:?}: {text}");
    }
}

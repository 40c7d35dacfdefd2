//! No answer, half of one, and refusals.

use std::net::TcpListener;
use std::time::Duration;

use logq::opensearch::{Error, Unreachable};

use crate::{
    PASSWORD, client,
    peer::{answer, server},
    search,
};

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

//! The default time range.

use std::process::Command;

use logq::opensearch::Method;
use serde_json::json;

use crate::log_store::LogStore;

/// A time in the format of log lines, `seconds` ago.
fn ago(seconds: i64) -> String {
    let time = chrono::Utc::now() - chrono::TimeDelta::seconds(seconds);
    time.to_rfc3339_opts(chrono::SecondsFormat::Nanos, true)
}

#[tokio::test]
async fn default_range_is_the_last_hour_and_is_reported() {
    let Some(store) = LogStore::empty("the default time range").await else {
        return;
    };
    store.bootstrap().await;
    let lines = [
        ("irmgard", "new", 60),
        ("irmgard", "old", 7_200),
        ("postgres", "older", 200_000),
    ];
    let documents: Vec<_> = lines
        .iter()
        .map(|(component, message, seconds)| {
            let document = json!({
                "@timestamp": ago(*seconds), "message": message, "component": component,
                "photo": { "id": 17 }, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            });
            (
                format!("logs-{component}"),
                (*message).to_owned(),
                document.to_string(),
            )
        })
        .collect();
    store.create(&documents).await;
    store.ask(Method::Post, "/logs-*/_refresh", None).await;

    let hour = "logq: only lines of the last hour were searched: use --since 1d or --since all\n";
    let three = hour.replace("the last hour", "the last 3h");
    let settled = [("LOGQ_SINCE", "3h")];
    let no = |text: &str| format!("logq: no {text}\n");
    let no_in_hour = |text: &str| no(text) + hour;
    for (arguments, variables, found, message) in [
        ([].as_slice(), [].as_slice(), "new", hour),
        (&["-g", "[a-z]"], &[], "new", hour),
        (
            &["-c", "postgres"],
            &[],
            "",
            &no_in_hour("lines of component postgres in this time; names in the lines: irmgard"),
        ),
        (
            &["-c", "rabbitmq"],
            &[],
            "",
            &no_in_hour("lines of component rabbitmq in this time; names in the lines: irmgard"),
        ),
        (
            &["-c", "irmgrad", "--limit", "3"],
            &[],
            "",
            &no_in_hour("lines of component irmgrad in this time; did you mean irmgard?"),
        ),
        (
            &["trace", "--trace", "4bf92f35", "-c", "postgrs"],
            &[],
            "",
            &no("lines of component postgrs; did you mean postgres?"),
        ),
        (
            &["-f", "component=IRMGARD"],
            &[],
            "",
            &no_in_hour("line has component=IRMGARD in this time; did you mean component=irmgard?"),
        ),
        (
            &["-f", "level=warn", "-n", "photos"],
            &[],
            "",
            &(no("lines of namespace photos in this time")
                + &no_in_hour("line has a field level in this time")),
        ),
        (
            &["-f", "levl=warn"],
            &[],
            "",
            &format!("logq: levl is not a standard field; did you mean level?\n{hour}"),
        ),
        (
            &["--since", "2100-01-01"],
            &[],
            "",
            "logq: --since 2100-01-01 is in the future\n",
        ),
        (
            &["--top", "photo.idd", "--since", "all"],
            &[],
            "",
            &no("line in the result has a field photo.idd; did you mean photo.id?"),
        ),
        (
            &["--level", "error"],
            &[],
            "",
            &format!("{hour}logq: 1 line without a level was left out\n"),
        ),
        (&["--since", "3h"], &[], "old new", ""),
        (&["--since", "all"], &[], "older old new", ""),
        (&["--until", "1h"], &[], "older old", ""),
        (&["--tail", "3"], &[], "older old new", ""),
        (&["--reverse"], &[], "new old older", ""),
        (&["--photo", "17"], &[], "older old new", ""),
        (&["--trace", "4bf92f35"], &[], "older old new", ""),
        (&[], &settled, "old new", &three),
        (&["--since", "1h"], &settled, "new", ""),
        (&["--trace", "4bf92f35"], &settled, "older old new", ""),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_logq"))
            .args(arguments)
            .args(["-o", "raw", "--source", "opensearch"])
            .env("LOGQ_CONFIG", "")
            .env("LOGQ_OPENSEARCH_URL", store.url())
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let shown = text(&output.stdout).lines().collect::<Vec<_>>().join(" ");
        assert_eq!(
            (shown.as_str(), text(&output.stderr).as_str()),
            (found, message),
            "{arguments:?}"
        );
        assert_eq!(
            output.status.code(),
            Some(i32::from(found.is_empty())),
            "{arguments:?}"
        );
    }
}

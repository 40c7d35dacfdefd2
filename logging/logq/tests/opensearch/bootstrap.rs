//! `logq admin bootstrap` with a real OpenSearch.

use super::log_store::LogStore;
use logq::admin::{self, Action, Change, ObjectKind, Options, data_streams, managed_objects, version};
use logq::opensearch::Method;
use serde_json::{Value, json};

const WHAT: &str = "`logq admin bootstrap`";

fn of<'a>(changes: &'a [Change], what: &str) -> &'a Action {
    &changes
        .iter()
        .find(|change| change.what == what)
        .unwrap_or_else(|| panic!("no change of {what}: {changes:#?}"))
        .action
}

fn line(number: u32) -> (String, String, String) {
    let document =
        json!({ "@timestamp": "2026-11-22T10:00:00.123456789Z", "message": format!("line {number}") });
    (
        "logs-irmgard".into(),
        format!("line-{number}"),
        document.to_string(),
    )
}

#[tokio::test]
async fn bootstrap_is_idempotent() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let first = store.bootstrap().await;
    assert!(
        first.iter().all(|change| change.action == Action::Created),
        "{first:#?}"
    );
    assert_eq!(
        first.len(),
        managed_objects().unwrap().len() + data_streams().len()
    );
    let second = store.bootstrap().await;
    assert!(
        second.iter().all(|change| change.action == Action::Unchanged),
        "{second:#?}"
    );

    // OpenSearch adds only the arrival time, in nanoseconds.
    let (stream, id, document) = line(1);
    let results = store
        .create(&[
            (stream.clone(), id.clone(), document.clone()),
            (stream, id, document),
        ])
        .await;
    assert_eq!([results[0].0, results[1].0], [201, 409], "{results:?}");
    let hits = store.get("/logs-irmgard/_search").await;
    let source = &hits["hits"]["hits"][0]["_source"];
    assert!(
        source["event"]["ingested"].as_str().unwrap().ends_with('Z'),
        "{source}"
    );
    assert_eq!(source.as_object().unwrap().len(), 3, "{source}");
    let arrived = json!({ "range": { "event.ingested": { "gte": "now-10m" } } });
    assert_eq!(store.count("logs-irmgard", &arrived).await, 1);
}

#[tokio::test]
async fn concurrent_bootstraps_create_each_object_once() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let all = futures::future::join_all((0..6).map(|_| store.bootstrap())).await;
    for stream in data_streams() {
        assert_eq!(store.indices(&stream).await, [format!(".ds-{stream}-000001")]);
    }
    // A slower process finds the objects of the others; exactly one created each stream.
    for stream in data_streams() {
        let what = format!("data stream {stream}");
        let made = all
            .iter()
            .filter(|changes| *of(changes, &what) == Action::Created)
            .count();
        assert!(made <= 1, "{made} have made {stream}");
    }
    let after = store.bootstrap().await;
    assert!(
        after.iter().all(|change| change.action == Action::Unchanged),
        "{after:#?}"
    );
}

/// Stores all objects of another release.
async fn put_as(store: &LogStore, version: u64, change: impl Fn(ObjectKind, &str, &mut Value)) {
    for piece in managed_objects().unwrap() {
        let mut body = piece.body.clone();
        if !piece.is_user_owned {
            body["version"] = version.into();
        }
        change(piece.kind, piece.name, &mut body);
        store.ask(Method::Put, &piece.path(), Some(&body)).await;
    }
}

#[tokio::test]
async fn older_release_keeps_newer_objects() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let newer = version().unwrap() + 1;
    put_as(&store, newer, |_, name, body| {
        if name == "irmgard-logs-mappings" {
            body["template"]["mappings"]["properties"]["of_tomorrow"] = json!({ "type": "long" });
        }
    })
    .await;
    let before = store.get("/_component_template/irmgard-logs-mappings").await;
    let changes = store.bootstrap().await;
    for piece in managed_objects().unwrap() {
        let action = of(&changes, &piece.title());
        let expected = if piece.is_user_owned {
            matches!(action, Action::Unchanged)
        } else {
            matches!(action, Action::Skipped(_))
        };
        assert!(expected, "{}: {action:?}", piece.title());
    }
    assert_eq!(
        store.get("/_component_template/irmgard-logs-mappings").await,
        before
    );
    // New streams use the newer version, too.
    let mapping = store.get("/logs-irmgard/_mapping").await;
    assert_eq!(
        mapping[".ds-logs-irmgard-000001"]["mappings"]["properties"]["of_tomorrow"]["type"],
        "long"
    );
}

#[tokio::test]
async fn newer_release_adds_fields_in_place() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    put_as(&store, 0, |_, name, body| {
        let Some(template) = body.get_mut("template") else {
            return;
        };
        if name == "irmgard-logs-mappings" {
            let properties = template["mappings"]["properties"].as_object_mut().unwrap();
            properties.remove("photo");
            properties.remove("trace_id");
            properties["message"] = json!({ "type": "text", "norms": false });
        }
        if name == "irmgard-logs-settings" {
            template["settings"]["index"]["refresh_interval"] = "7s".into();
        }
    })
    .await;
    store.ask(Method::Put, "/_data_stream/logs-irmgard", None).await;
    assert_eq!(store.create(&[line(1)]).await[0].0, 201);

    let changes = store.bootstrap().await;
    let Action::Changed(how) = of(&changes, "mapping of .ds-logs-irmgard-000001") else {
        panic!("{changes:#?}")
    };
    assert!(how.contains("photo.id") && how.contains("trace_id"), "{how}");
    assert!(
        matches!(
            of(&changes, "index.refresh_interval of logs-irmgard"),
            Action::Changed(_)
        ),
        "{changes:#?}"
    );
    assert!(matches!(
        of(&changes, "component template irmgard-logs-mappings"),
        Action::Changed(_)
    ));
    assert_eq!(store.indices("logs-irmgard").await.len(), 1);

    let mut new = line(2);
    new.2 =
        json!({ "@timestamp": "2026-11-22T10:00:00Z", "message": "stored original", "photo": { "id": 17 } })
            .to_string();
    assert_eq!(store.create(&[new]).await[0].0, 201);
    assert_eq!(
        store
            .count("logs-irmgard", &json!({ "term": { "photo.id": 17 } }))
            .await,
        1
    );
    assert_eq!(
        store
            .count(
                "logs-irmgard",
                &json!({ "wildcard": { "message.wildcard": "*red orig*" } })
            )
            .await,
        1
    );
    assert_eq!(store.count("logs-irmgard", &json!({ "match_all": {} })).await, 2);
    let again = store.bootstrap().await;
    assert!(
        again.iter().all(|change| change.action == Action::Unchanged),
        "{again:#?}"
    );
}

#[tokio::test]
async fn changed_field_type_rolls_over_once() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    put_as(&store, 0, |_, name, body| {
        if name == "irmgard-logs-mappings" {
            let properties = &mut body["template"]["mappings"]["properties"];
            properties["attempt"] = json!({ "type": "keyword" });
            properties.as_object_mut().unwrap().remove("photo");
        }
    })
    .await;
    store.ask(Method::Put, "/_data_stream/logs-irmgard", None).await;
    assert_eq!(store.create(&[line(1)]).await[0].0, 201);

    let changes = store.bootstrap().await;
    assert!(
        matches!(of(&changes, "data stream logs-irmgard"), Action::Changed(_)),
        "{changes:#?}"
    );
    assert_eq!(store.indices("logs-irmgard").await.len(), 2);
    assert_eq!(store.create(&[line(2)]).await[0].0, 201);
    assert_eq!(store.count("logs-irmgard", &json!({ "match_all": {} })).await, 2);
    let mapping = store.get("/.ds-logs-irmgard-000002/_mapping").await;
    assert_eq!(
        mapping[".ds-logs-irmgard-000002"]["mappings"]["properties"]["attempt"]["type"],
        "long"
    );

    // The next run makes the new field searchable in the closed index. There is no third index.
    store.bootstrap().await;
    let mapping = store.get("/.ds-logs-irmgard-000001/_mapping").await;
    let old = &mapping[".ds-logs-irmgard-000001"]["mappings"]["properties"];
    assert_eq!(
        [&old["attempt"]["type"], &old["photo"]["properties"]["id"]["type"]],
        ["keyword", "long"]
    );
    assert_eq!(store.indices("logs-irmgard").await.len(), 2);
    let last = store.bootstrap().await;
    assert!(!last.iter().any(Change::is_change), "{last:#?}");
}

#[tokio::test]
async fn custom_settings_are_kept() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let own = json!({ "template": {
        "settings": { "index": { "refresh_interval": "5s", "number_of_shards": "2" } },
        "mappings": { "properties": { "shop": { "type": "keyword" } } },
    }});
    store
        .ask(
            Method::Put,
            "/_component_template/irmgard-logs-custom",
            Some(&own),
        )
        .await;
    store.bootstrap().await;
    let settings = store.get("/logs-irmgard/_settings?flat_settings=true").await;
    let settings = &settings[".ds-logs-irmgard-000001"]["settings"];
    assert_eq!(settings["index.refresh_interval"], "5s");
    assert_eq!(settings["index.number_of_shards"], "2");
    let again = store.bootstrap().await;
    assert!(
        again.iter().all(|change| change.action == Action::Unchanged),
        "{again:#?}"
    );
}

#[tokio::test]
async fn external_changes_are_reverted() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let empty = json!({ "processors": [], "version": version().unwrap() });
    store
        .ask(Method::Put, "/_ingest/pipeline/irmgard-logs", Some(&empty))
        .await;
    let changes = store.bootstrap().await;
    assert!(
        matches!(of(&changes, "ingest pipeline irmgard-logs"), Action::Changed(_)),
        "{changes:#?}"
    );
}

#[tokio::test]
async fn template_with_higher_priority_is_reported() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let rival = json!({ "index_patterns": ["logs-*"], "data_stream": {}, "priority": 9_000, "template": {} });
    store
        .ask(Method::Put, "/_index_template/rival", Some(&rival))
        .await;
    let error = store.try_bootstrap(Options::default()).await.unwrap_err();
    assert!(matches!(error, admin::Error::Outranked { .. }), "{error:?}");
    assert!(error.to_string().contains("rival (priority 9000"), "{error}");
    let streams = store.get("/_data_stream/logs-*").await;
    assert_eq!(
        streams["data_streams"],
        json!([]),
        "a stream was created from another template"
    );
}

#[tokio::test]
async fn index_with_the_name_of_a_stream_is_reported_and_kept() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let document = json!({ "a": 1 });
    store
        .ask(Method::Post, "/logs-postgres/_doc", Some(&document))
        .await;
    let error = store.try_bootstrap(Options::default()).await.unwrap_err();
    assert!(
        matches!(&error, admin::Error::Taken { stream } if stream == "logs-postgres"),
        "{error:?}"
    );
    store.ask(Method::Post, "/logs-postgres/_refresh", None).await;
    assert_eq!(store.count("logs-postgres", &json!({ "match_all": {} })).await, 1);
}

/// The Maven Central distribution has no security plugin.
#[tokio::test]
async fn missing_security_plugin_is_reported_without_an_error() {
    let Some(store) = LogStore::empty(WHAT).await else {
        return;
    };
    let changes = store
        .try_bootstrap(Options {
            roles: true,
            dry_run: false,
        })
        .await
        .unwrap();
    assert!(
        matches!(of(&changes, "roles"), Action::Skipped(_)),
        "{changes:#?}"
    );
}

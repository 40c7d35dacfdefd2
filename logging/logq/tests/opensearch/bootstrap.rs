//! `logq admin bootstrap` on a real OpenSearch.

use super::store::Store;
use logq::admin::{self, Action, Change, ObjectKind, Options, data_streams, managed_objects, version};
use logq::opensearch::Method;
use serde_json::{Value, json};

const WHAT: &str = "what `logq admin bootstrap` does";

fn of<'a>(said: &'a [Change], what: &str) -> &'a Action {
    &said
        .iter()
        .find(|change| change.what == what)
        .unwrap_or_else(|| panic!("nothing was said of {what}: {said:#?}"))
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
async fn the_first_time_makes_everything_and_the_second_nothing() {
    let Some(store) = Store::empty(WHAT).await else {
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

    // A line gets its time of arrival by the server's clock, to the nanosecond's digits, and nothing else.
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
async fn several_at_once_make_each_thing_once() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    let all = futures::future::join_all((0..6).map(|_| store.bootstrap())).await;
    for stream in data_streams() {
        assert_eq!(store.indices(&stream).await, [format!(".ds-{stream}-000001")]);
    }
    // Who was slower has found what the others made; each stream was made by one.
    for stream in data_streams() {
        let what = format!("data stream {stream}");
        let made = all
            .iter()
            .filter(|said| *of(said, &what) == Action::Created)
            .count();
        assert!(made <= 1, "{made} have made {stream}");
    }
    let after = store.bootstrap().await;
    assert!(
        after.iter().all(|change| change.action == Action::Unchanged),
        "{after:#?}"
    );
}

/// Puts all pieces as another release has them.
async fn put_as(store: &Store, version: u64, change: impl Fn(ObjectKind, &str, &mut Value)) {
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
async fn an_older_release_leaves_what_a_newer_one_has_put() {
    let Some(store) = Store::empty(WHAT).await else {
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
    let said = store.bootstrap().await;
    for piece in managed_objects().unwrap() {
        let action = of(&said, &piece.title());
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
    // Streams are made as the newer one wants them, too.
    let mapping = store.get("/logs-irmgard/_mapping").await;
    assert_eq!(
        mapping[".ds-logs-irmgard-000001"]["mappings"]["properties"]["of_tomorrow"]["type"],
        "long"
    );
}

#[tokio::test]
async fn a_newer_release_adds_fields_in_place_and_loses_nothing() {
    let Some(store) = Store::empty(WHAT).await else {
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

    let said = store.bootstrap().await;
    let Action::Changed(how) = of(&said, "mapping of .ds-logs-irmgard-000001") else {
        panic!("{said:#?}")
    };
    assert!(how.contains("photo.id") && how.contains("trace_id"), "{how}");
    assert!(
        matches!(
            of(&said, "index.refresh_interval of logs-irmgard"),
            Action::Changed(_)
        ),
        "{said:#?}"
    );
    assert!(matches!(
        of(&said, "component template irmgard-logs-mappings"),
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
async fn a_field_of_another_kind_gets_a_new_index_once_and_loses_nothing() {
    let Some(store) = Store::empty(WHAT).await else {
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

    let said = store.bootstrap().await;
    assert!(
        matches!(of(&said, "data stream logs-irmgard"), Action::Changed(_)),
        "{said:#?}"
    );
    assert_eq!(store.indices("logs-irmgard").await.len(), 2);
    assert_eq!(store.create(&[line(2)]).await[0].0, 201);
    assert_eq!(store.count("logs-irmgard", &json!({ "match_all": {} })).await, 2);
    let mapping = store.get("/.ds-logs-irmgard-000002/_mapping").await;
    assert_eq!(
        mapping[".ds-logs-irmgard-000002"]["mappings"]["properties"]["attempt"]["type"],
        "long"
    );

    // What is filled can be searched for the new field at the next run, and there is no third index.
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
async fn what_an_installation_wants_otherwise_stays() {
    let Some(store) = Store::empty(WHAT).await else {
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
async fn what_somebody_has_changed_is_put_right() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    store.bootstrap().await;
    let empty = json!({ "processors": [], "version": version().unwrap() });
    store
        .ask(Method::Put, "/_ingest/pipeline/irmgard-logs", Some(&empty))
        .await;
    let said = store.bootstrap().await;
    assert!(
        matches!(of(&said, "ingest pipeline irmgard-logs"), Action::Changed(_)),
        "{said:#?}"
    );
}

#[tokio::test]
async fn somebody_else_s_template_above_ours_is_named() {
    let Some(store) = Store::empty(WHAT).await else {
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
        "a stream was made of a template that is not ours"
    );
}

#[tokio::test]
async fn an_index_in_a_stream_s_place_is_named_and_kept() {
    let Some(store) = Store::empty(WHAT).await else {
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

/// The distribution on Maven Central has neither plugin.
#[tokio::test]
async fn plugins_that_are_not_there_are_told_and_no_error() {
    let Some(store) = Store::empty(WHAT).await else {
        return;
    };
    let said = store
        .try_bootstrap(Options {
            roles: true,
            ism: true,
            dry_run: false,
        })
        .await
        .unwrap();
    assert!(matches!(of(&said, "roles"), Action::Skipped(_)), "{said:#?}");
    assert!(
        matches!(of(&said, "index state policy irmgard-logs"), Action::Skipped(_)),
        "{said:#?}"
    );
}

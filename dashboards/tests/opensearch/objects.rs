//! Every query of every saved object finds the expected lines.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use clap::Parser;
use dashboards::DashboardSource;
use logq::{
    cli::{Cli, expand_view},
    config::Config,
    entry::Order,
    opensearch::Method,
    query::ResolvedContext,
    source::opensearch::OpenSearchSource,
};
use serde_json::Value;

use super::{
    lines::{FAILED, UPLOAD, VISIT, document, world},
    log_store::LogStore,
    request::{FROM, TO, chart_request, choice_requests, inner, rows, search_request},
};

const WHAT: &str = "what the saved objects of dashboards find";

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn objects() -> BTreeMap<String, Value> {
    let text = fs::read_to_string(folder().join("irmgard.ndjson")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter_map(|object| Some((object["id"].as_str()?.to_owned(), object)))
        .collect()
}

/// OpenSearch with the lines of `world`, and the names of the lines by id.
async fn filled() -> Option<(LogStore, BTreeMap<String, &'static str>)> {
    let store = LogStore::empty(WHAT).await?;
    let written: Vec<_> = world()
        .into_iter()
        .map(|(name, component, line)| (name, document(component, &line)))
        .collect();
    let names = written
        .iter()
        .map(|(name, (_, id, _))| (id.clone(), *name))
        .collect();
    let documents: Vec<_> = written.into_iter().map(|(_, document)| document).collect();
    store.create(&documents).await;
    Some((store, names))
}

fn found(answer: &Value, names: &BTreeMap<String, &'static str>) -> String {
    let hits = answer["hits"]["hits"].as_array().unwrap();
    let names: Vec<_> = hits
        .iter()
        .map(|hit| names[hit["_id"].as_str().unwrap()])
        .collect();
    names.join(" ")
}

/// The saved searches, with the query in the search bar.
const SEARCHES: &[(&str, &str, &str)] = &[
    ("irmgard-webservice-db", "", "i7 i6 d3 d2 i5 i4 i3 i2 d1 i1"),
    ("irmgard-failed-photos", "", "i6 a2"),
    ("irmgard-slow-requests", "", "i3 i4"),
    ("irmgard-broker", "", "i7 q2 i6 a2 i3"),
    ("irmgard-errors", "", "i7 q2 d2"),
    ("irmgard-slow-statements", "", "d3 d1"),
    (
        "irmgard-lines-in-order",
        "",
        "q1 i1 d1 a1 i2 i3 i4 i5 d2 d3 a2 i6 q2 i7 a3 a4 s1",
    ),
    (
        "irmgard-lines-in-order",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
        "i1 d1 a1 i2 a3",
    ),
    ("irmgard-lines-in-order", "photo.id:18", "i5 a2 i6"),
];

#[tokio::test]
async fn saved_searches_find_their_lines_in_order() {
    let Some((store, names)) = filled().await else {
        return;
    };
    let objects = objects();
    for (id, around, expected) in SEARCHES {
        let request = search_request(&objects[*id], &[around]);
        let answer = store.search(&request).await;
        assert_eq!(found(&answer, &names), *expected, "{id} {around}");
    }
    let tested: BTreeSet<_> = SEARCHES.iter().map(|(id, ..)| *id).collect();
    for (id, object) in &objects {
        assert!(
            object["type"] != "search" || tested.contains(id.as_str()),
            "{id} is not tested"
        );
    }
}

#[tokio::test]
async fn saved_searches_find_what_the_views_of_logq_find() {
    let Some((store, names)) = filled().await else {
        return;
    };
    let objects = objects();
    let source = DashboardSource::read(&folder().join("source")).unwrap();
    let mut views = BTreeSet::new();
    for search in source.searches {
        let Some(view) = search.view else { continue };
        let answer = store.search(&search_request(&objects[&search.id], &[])).await;
        let hits = answer["hits"]["hits"].as_array().unwrap();
        let here: BTreeSet<_> = hits
            .iter()
            .map(|hit| names[hit["_id"].as_str().unwrap()])
            .collect();
        let (client, name) = (store.client.clone(), view.clone());
        let there = tokio::task::spawn_blocking(move || viewed(client, name))
            .await
            .unwrap();
        let there: BTreeSet<_> = there.iter().map(|id| names[id]).collect();
        assert_eq!(here, there, "{} and logq view {view}", search.id);
        views.insert(view);
    }
    let config = Config::without_file(Box::new(|_| None));
    let known: BTreeSet<_> = logq::cli::views(&config)
        .into_iter()
        .map(|view| view.name)
        .collect();
    // It shows the lines of `broker` and `errors`, of all components.
    let left: Vec<_> = known.difference(&views).collect();
    assert_eq!(left, ["trouble"]);
}

/// The ids of the lines in a view of logq.
fn viewed(client: logq::opensearch::Client, view: String) -> Vec<String> {
    let arguments = [view, "--since".into(), FROM.into(), "--until".into(), TO.into()];
    let config = Config::without_file(Box::new(|_| None));
    let search = expand_view(&arguments, &config).unwrap();
    let query = search.query().unwrap();
    let source = OpenSearchSource::new(client).unwrap();
    let context = if query.needs_context() {
        source.resolve(&query).unwrap()
    } else {
        ResolvedContext::default()
    };
    source
        .lines(&query.filter(&context), Order::Forward)
        .map(|entry| entry.unwrap().document.id().unwrap().to_owned())
        .collect()
}

/// The charts, with the query in the search bar.
const CHARTS: &[(&str, &str, &[&str])] = &[
    (
        "irmgard-lines-by-component",
        "",
        &[
            "rabbitmq | 2",
            "irmgard | 7",
            "postgres | 3",
            "anonymizer | 4",
            "object-store | 1",
        ],
    ),
    (
        "irmgard-lines-by-level",
        "",
        &["info | 10", "warn | 3", "error | 3"],
    ),
    (
        "irmgard-error-rate",
        "",
        &["all others | 11", "errors | 3", "warnings | 3"],
    ),
    (
        "irmgard-failed-requests",
        "",
        &["2xx, 3xx | 2", "4xx | 1", "5xx | 1"],
    ),
    (
        "irmgard-slowest-routes",
        "",
        &[
            "/projects/{project}/photos | 7, 3.625, 2",
            "/photos/{id}/image | 1, 0.9995, 2",
        ],
    ),
    (
        "irmgard-photos-by-outcome",
        "",
        &["anonymized | 1", "answered-again | 1", "failed | 1"],
    ),
    ("irmgard-failures-by-reason", "", &["corrupt-image | 1, 2"]),
    (
        "irmgard-newest-lines",
        "",
        &[
            "object-store | 1795341630000, 1",
            "anonymizer | 1795341616000, 4",
            "irmgard | 1795341614000, 7",
            "rabbitmq | 1795341613000, 2",
            "postgres | 1795341610000, 3",
        ],
    ),
    (
        "irmgard-journey-traces",
        "photo.id:17",
        &[
            "17, 4bf92f3577b34da6a3ce929d0e0e4736 | 1795341615000, 1795341602000, 4",
            "17, 4bf92f35aaaaaaaaa3ce929d0e0e4736 | 1795341607000, 1795341607000, 1",
        ],
    ),
    (
        "irmgard-journey-durations",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
        &[
            "anonymizer | 1.42, 1.4, 1795341604000, 1795341615000, 2",
            "irmgard | 0.25, 0.25, 1795341602000, 1795341605000, 2",
            "postgres | 0.1125, 0.1125, 1795341603000, 1795341603000, 1",
        ],
    ),
    (
        "irmgard-journey-stages",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
        &[" | 0.1, 0.2, 0.8, 0.05, 0.1, 0.1, 0.01, 0.02"],
    ),
    (
        "irmgard-lines-by-component",
        "trace_id:4bf92f3577b34da6a3ce929d0e0e4736",
        &["irmgard | 2", "postgres | 1", "anonymizer | 2"],
    ),
];

#[tokio::test]
async fn charts_count_what_they_should() {
    let Some((store, _)) = filled().await else {
        return;
    };
    let objects = objects();
    for (id, around, expected) in CHARTS {
        let request = chart_request(&objects[*id], &[around]).unwrap();
        let answer = store.search(&request).await;
        assert_eq!(
            rows(&objects[*id], &answer),
            *expected,
            "{id} {around}: {answer:#}"
        );
    }
    let tested: BTreeSet<_> = CHARTS.iter().map(|(id, ..)| *id).collect();
    for (id, object) in &objects {
        let asks = object["type"] == "visualization" && chart_request(object, &[]).is_some();
        assert!(!asks || tested.contains(id.as_str()), "{id} is not tested");
    }
}

#[tokio::test]
async fn choices_are_the_existing_values() {
    let Some((store, _)) = filled().await else {
        return;
    };
    let objects = objects();
    let requests = choice_requests(&objects["irmgard-journey-choice"]);
    let mut choices = Vec::new();
    for request in &requests {
        let answer = store.search(request).await;
        let buckets = answer["aggregations"]["termsAgg"]["buckets"].as_array().unwrap();
        let keys: BTreeSet<_> = buckets
            .iter()
            .map(|bucket| bucket["key"].as_str().unwrap().to_owned())
            .collect();
        choices.push(keys);
    }
    let of = |names: &[&str]| {
        names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(
        choices,
        [
            of(&[UPLOAD, FAILED, VISIT]),
            of(&["irmgard", "postgres", "anonymizer", "rabbitmq", "object-store"])
        ]
    );
}

/// The pattern's list of fields is the one that Dashboards would generate from the indices.
#[tokio::test]
async fn the_pattern_lists_the_fields_as_opensearch_has_them() {
    let Some((store, _)) = filled().await else {
        return;
    };
    let answer = store.ask(Method::Get, "/logs-*/_field_caps?fields=*", None).await;
    let objects = objects();
    let fields = inner(&objects["irmgard-logs"]["attributes"]["fields"]);
    let listed: BTreeMap<&str, &Value> = fields
        .as_array()
        .unwrap()
        .iter()
        .map(|field| (field["name"].as_str().unwrap(), field))
        .collect();
    for (name, kinds) in answer["fields"].as_object().unwrap() {
        let (kind, can) = kinds.as_object().unwrap().iter().next().unwrap();
        assert_eq!(kinds.as_object().unwrap().len(), 1, "{name}: {kinds}");
        if name.starts_with('_') || kind == "object" {
            continue;
        }
        let field = listed
            .get(name.as_str())
            .unwrap_or_else(|| panic!("{name} ({kind}) is not listed"));
        assert_eq!(field["esTypes"][0], *kind, "{name}");
        assert_eq!(field["searchable"], can["searchable"], "{name}");
        if kind != "flat_object" {
            assert_eq!(field["aggregatable"], can["aggregatable"], "{name}");
        }
    }
    for name in listed.keys().filter(|name| !name.starts_with('_')) {
        assert!(answer["fields"].get(*name).is_some(), "OpenSearch has no {name}");
    }
}

/// logq accepts the command lines in the help text.
#[test]
fn the_help_has_valid_command_lines() {
    let objects = objects();
    let state = inner(&objects["irmgard-journey-help"]["attributes"]["visState"]);
    let text = state["params"]["markdown"].as_str().unwrap();
    let lines: Vec<&str> = text
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|code| code.starts_with("logq "))
        .collect();
    assert_eq!(lines.len(), 2, "{text}");
    for line in lines {
        Cli::try_parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

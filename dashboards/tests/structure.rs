//! The structure of the import file, as Dashboards and OpenSearch need it.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use schema::{FIELDS, FieldKind, field, label};
use serde_json::{Value, json};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn lines() -> Vec<Value> {
    let text = fs::read_to_string(file("irmgard.ndjson")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All lines but the summary at the end.
fn objects() -> Vec<Value> {
    let mut all = lines();
    all.pop();
    all
}

fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| unreachable!("{value} is no text"))
}

/// JSON in a string.
fn inner(value: &Value) -> Value {
    serde_json::from_str(text(value)).unwrap()
}

fn searched(object: &Value) -> Value {
    inner(&object["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])
}

fn of_type<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["type"] == kind).collect()
}

/// Whether OpenSearch can aggregate and sort by a field. `None` if it does not exist.
fn is_aggregatable(name: &str) -> Option<bool> {
    let label = |rest: &str| {
        label::ALL
            .iter()
            .any(|label| label::stored(label).unwrap() == rest)
    };
    if let Some(rest) = name.strip_prefix("kubernetes.labels.") {
        return label(rest).then_some(true);
    }
    let kind = schema::field::by_name(name)?.kind;
    (kind != FieldKind::KeywordMap).then_some(!matches!(kind, FieldKind::Text | FieldKind::FlatObject))
}

/// The fields in a query in Lucene's syntax.
fn fields_of_query(query: &str) -> BTreeSet<String> {
    let outside: String = query.split('"').step_by(2).flat_map(|part| [part, " "]).collect();
    let words = outside.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']'));
    words
        .filter_map(|word| word.split_once(':'))
        .map(|(name, rest)| if name == "_exists_" { rest } else { name })
        .map(str::to_owned)
        .collect()
}

/// Every query of an object.
fn queries(object: &Value) -> Vec<String> {
    let of = |query: &Value| {
        assert_eq!(query["language"], "lucene", "{query}");
        text(&query["query"]).to_owned()
    };
    let mut all = vec![of(&searched(object)["query"])];
    if object["type"] == "visualization" {
        let state = inner(&object["attributes"]["visState"]);
        for agg in state["aggs"].as_array().unwrap() {
            let filters = agg["params"]["filters"].as_array().into_iter().flatten();
            all.extend(filters.map(|filter| of(&filter["input"])));
        }
    }
    all
}

#[test]
fn each_object_has_an_id_a_known_type_and_its_last_migration() {
    let versions = BTreeMap::from([
        ("index-pattern", "7.6.0"),
        ("search", "7.9.3"),
        ("visualization", "7.10.0"),
        ("dashboard", "7.9.3"),
    ]);
    let mut ids = BTreeSet::new();
    let all = lines();
    let (about, objects) = all.split_last().unwrap();
    for object in objects {
        let (id, kind) = (text(&object["id"]), text(&object["type"]));
        assert!(ids.insert(id.to_owned()), "{id} stands twice");
        assert!(
            id.starts_with("irmgard-")
                && id
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'),
            "{id}"
        );
        assert_eq!(
            object["migrationVersion"],
            json!({ kind: versions[kind] }),
            "{id}"
        );
        assert!(!text(&object["attributes"]["title"]).is_empty(), "{id}");
        let keys: Vec<_> = object.as_object().unwrap().keys().collect();
        assert_eq!(
            keys,
            ["attributes", "id", "migrationVersion", "references", "type"],
            "{id}"
        );
    }
    assert_eq!(
        *about,
        json!({ "exportedCount": objects.len(), "missingRefCount": 0, "missingReferences": [] })
    );
    assert_eq!(of_type(objects, "index-pattern").len(), 1);
    assert_eq!(of_type(objects, "dashboard").len(), 2);
}

/// Each reference names an object of the file and is used. Every `…RefName` is a reference.
#[test]
fn references_name_existing_objects() {
    fn used(value: &Value, names: &mut BTreeSet<String>) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    if name.ends_with("RefName") {
                        assert!(names.insert(text(value).to_owned()), "{value} is used twice");
                    } else if name.ends_with("JSON") || name == "visState" {
                        used(&inner(value), names);
                    } else {
                        used(value, names);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| used(value, names)),
            _ => {}
        }
    }
    let objects = objects();
    let there: BTreeSet<_> = objects
        .iter()
        .map(|object| (text(&object["type"]), text(&object["id"])))
        .collect();
    for object in &objects {
        let mut names = BTreeSet::new();
        used(&object["attributes"], &mut names);
        let references = object["references"].as_array().unwrap();
        let given: BTreeSet<_> = references
            .iter()
            .map(|reference| text(&reference["name"]).to_owned())
            .collect();
        assert_eq!(given.len(), references.len(), "{}", object["id"]);
        assert_eq!(names, given, "{}", object["id"]);
        for reference in references {
            let target = (text(&reference["type"]), text(&reference["id"]));
            assert!(there.contains(&target), "{} refers to {target:?}", object["id"]);
        }
    }
}

#[test]
fn the_pattern_lists_the_fields_of_the_schema() {
    let objects = objects();
    let pattern = &of_type(&objects, "index-pattern")[0]["attributes"];
    assert_eq!(
        (text(&pattern["title"]), text(&pattern["timeFieldName"])),
        ("logs-*", field::TIMESTAMP)
    );
    let fields = inner(&pattern["fields"]);
    let mut listed = BTreeSet::new();
    for of in fields.as_array().unwrap() {
        let name = text(&of["name"]);
        assert!(listed.insert(name.to_owned()), "{name} is listed twice");
        if let Some(gathers) = is_aggregatable(name) {
            assert_eq!(of["aggregatable"], gathers, "{name}");
        }
    }
    for of in FIELDS {
        let there = listed.iter().any(|name| {
            name == of.name || of.kind == FieldKind::KeywordMap && name.starts_with(&format!("{}.", of.name))
        });
        assert!(there, "{} is not listed", of.name);
    }
    for name in inner(&pattern["fieldFormatMap"]).as_object().unwrap().keys() {
        assert!(is_aggregatable(name).is_some(), "{name}");
    }
}

#[test]
fn every_field_is_in_the_schema_and_aggregated_only_if_possible() {
    let objects = objects();
    for search in of_type(&objects, "search") {
        let attributes = &search["attributes"];
        for column in attributes["columns"].as_array().unwrap() {
            assert!(is_aggregatable(text(column)).is_some(), "{column}");
        }
        for sort in attributes["sort"].as_array().unwrap() {
            assert_eq!(is_aggregatable(text(&sort[0])), Some(true), "{sort}");
            assert!(matches!(text(&sort[1]), "asc" | "desc"), "{sort}");
        }
    }
    for chart in of_type(&objects, "visualization") {
        let state = inner(&chart["attributes"]["visState"]);
        assert_eq!(state["title"], chart["attributes"]["title"]);
        for agg in state["aggs"].as_array().unwrap() {
            if let Some(name) = agg["params"]["field"].as_str() {
                assert_eq!(is_aggregatable(name), Some(true), "{agg}");
            }
        }
        for control in state["params"]["controls"].as_array().into_iter().flatten() {
            assert_eq!(
                is_aggregatable(text(&control["fieldName"])),
                Some(true),
                "{control}"
            );
        }
    }
    for object in objects.iter().filter(|object| object["type"] != "index-pattern") {
        for query in queries(object) {
            for name in fields_of_query(&query) {
                assert!(is_aggregatable(&name).is_some(), "{query} names {name}");
            }
        }
    }
}

/// Each type of visualization accepts certain aggregations. `orderBy` refers to their ids.
#[test]
fn charts_have_the_aggregations_of_their_types() {
    let places = BTreeMap::from([
        ("histogram", ["metric", "segment", "group"].as_slice()),
        ("pie", &["metric", "segment"]),
        ("table", &["metric", "bucket"]),
        ("metric", &["metric"]),
        ("markdown", &[]),
        ("input_control_vis", &[]),
    ]);
    let objects = objects();
    for chart in of_type(&objects, "visualization") {
        let state = inner(&chart["attributes"]["visState"]);
        let kind = text(&state["type"]);
        let aggs = state["aggs"].as_array().unwrap();
        let mut metrics = BTreeSet::new();
        for (number, agg) in aggs.iter().enumerate() {
            assert_eq!(text(&agg["id"]), (number + 1).to_string(), "{agg}");
            assert!(places[kind].contains(&text(&agg["schema"])), "{agg}");
            if agg["schema"] == "metric" {
                metrics.insert(text(&agg["id"]));
            }
            if agg["type"] == "terms" {
                assert!(metrics.contains(text(&agg["params"]["orderBy"])), "{agg}");
            }
        }
        assert_eq!(aggs.is_empty(), places[kind].is_empty(), "{kind}");
        inner(&chart["attributes"]["uiStateJSON"]);
    }
}

#[test]
fn panels_are_on_the_grid_and_do_not_overlap() {
    let objects = objects();
    for board in of_type(&objects, "dashboard") {
        let panels = inner(&board["attributes"]["panelsJSON"]);
        inner(&board["attributes"]["optionsJSON"]);
        let mut taken = BTreeSet::new();
        let mut indices = BTreeSet::new();
        for panel in panels.as_array().unwrap() {
            let grid = &panel["gridData"];
            assert_eq!(grid["i"], panel["panelIndex"]);
            assert!(indices.insert(text(&panel["panelIndex"]).to_owned()), "{panel}");
            let cell = |name: &str| grid[name].as_u64().unwrap();
            assert!(
                cell("w") > 0 && cell("h") > 0 && cell("x") + cell("w") <= 48,
                "{panel}"
            );
            for x in cell("x")..cell("x") + cell("w") {
                for y in cell("y")..cell("y") + cell("h") {
                    assert!(taken.insert((x, y)), "{panel} covers another panel");
                }
            }
        }
    }
}

/// The structure only: the distribution for tests does not have the Alerting plugin.
#[test]
fn monitors_have_the_format_of_the_alerting_plugin() {
    let runbooks = file("../docs/runbooks");
    let mut rules = BTreeSet::new();
    for path in fs::read_dir(file("alerts")).unwrap() {
        let path = path.unwrap().path();
        let rule = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let monitor: Value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        assert_eq!(
            [&monitor["type"], &monitor["monitor_type"], &monitor["enabled"]],
            [&json!("monitor"), &json!("query_level_monitor"), &json!(true)]
        );
        assert_eq!(text(&monitor["name"]), format!("irmgard-{rule}"));
        let period = &monitor["schedule"]["period"];
        assert!(period["interval"].as_u64().unwrap() >= 1 && period["unit"] == "MINUTES");
        let inputs = monitor["inputs"].as_array().unwrap();
        assert_eq!(inputs.len(), 1);
        let search = &inputs[0]["search"];
        assert_eq!(search["indices"], json!(["logs-*"]));
        let filter = search["query"]["query"]["bool"]["filter"].as_array().unwrap();
        for name in fields_of_query(text(&filter[1]["query_string"]["query"])) {
            assert!(is_aggregatable(&name).is_some(), "{rule} names {name}");
        }
        let triggers = monitor["triggers"].as_array().unwrap();
        assert_eq!(triggers.len(), 1);
        let trigger = &triggers[0]["query_level_trigger"];
        assert!(("1"..="5").contains(&text(&trigger["severity"])), "{trigger}");
        assert_eq!(trigger["condition"]["script"]["lang"], "painless");
        let action = &trigger["actions"][0];
        assert!(
            text(&action["message_template"]["source"]).contains(&format!("docs/runbooks/{rule}.md")),
            "{action}"
        );
        assert!(
            runbooks.join(format!("{rule}.md")).is_file(),
            "{rule} has no runbook"
        );
        rules.insert(format!("{rule}.md"));
    }
    for page in fs::read_dir(&runbooks).unwrap() {
        let page = page.unwrap().file_name().into_string().unwrap();
        assert!(
            page == "README.md" || rules.contains(&page),
            "{page} is of no rule"
        );
    }
}

/// The link of a trace opens an existing dashboard with a query for the trace.
#[test]
fn the_link_of_a_trace_opens_the_journey() {
    let objects = objects();
    let formats = inner(&of_type(&objects, "index-pattern")[0]["attributes"]["fieldFormatMap"]);
    let address = text(&formats[field::TRACE_ID]["params"]["urlTemplate"]).to_owned();
    let (path, state) = address.split_once('?').unwrap();
    let id = path.strip_prefix("dashboards#/view/").unwrap();
    assert!(
        of_type(&objects, "dashboard")
            .iter()
            .any(|board| board["id"] == id),
        "{id}"
    );
    assert_eq!(state, "_a=(query:(language:lucene,query:'trace_id:{{value}}'))");
}

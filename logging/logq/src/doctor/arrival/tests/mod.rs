mod pods;

use serde_json::json;

use super::{day::read, *};
use crate::{doctor::finding::State, source::opensearch::Rhythm};

const NOW: f64 = 1_000_000.0;

fn place(name: &str) -> Place {
    Place {
        component: name.to_owned(),
        namespace: String::new(),
    }
}

fn seen(age: f64, late: &[f64]) -> Seen {
    Seen {
        stored: NOW - age,
        written: NOW - age - late.first().copied().unwrap_or(0.0),
        late: late.to_vec(),
        rhythm: None,
        tags: BTreeMap::new(),
    }
}

fn day(components: &[(&str, Seen)]) -> Day {
    Day {
        components: components
            .iter()
            .map(|(name, seen)| (place(name), seen.clone()))
            .collect(),
        waiting: BTreeMap::from([(String::new(), Waiting::default())]),
        ..Day::default()
    }
}

fn texts(findings: &[Finding]) -> Vec<(State, &str, &str)> {
    findings
        .iter()
        .map(|finding| (finding.state, finding.what.as_str(), finding.detail.as_str()))
        .collect()
}

#[test]
fn what_must_be_there_is_asked_of_labels_and_what_was_seen() {
    let rhythm = |longest, span| {
        Some(Rhythm {
            newest: NOW - 900.0,
            longest,
            span,
        })
    };
    let silent = |rhythm| Seen {
        rhythm,
        ..seen(900.0, &[])
    };
    let mut day = day(&[
        ("irmgard", seen(4.0, &[0.1, 0.8, 2.5])),
        ("anonymizer", silent(rhythm(600.0, 50_000.0))),
        ("rabbitmq", silent(None)),
        ("gone", silent(rhythm(60.0, 7_200.0))),
        ("etcd", seen(900.0, &[])),
        ("late", seen(4.0, &[11.0, 12.0, 3.0])),
    ]);
    day.used = ["postgres", "rabbitmq", "object-store", "gone"].map(place).into();
    let found = judge(&day, None, NOW);
    assert_eq!(
        texts(&found),
        [
            (
                State::Ok,
                "lines of anonymizer",
                "the newest 15 m ago; it has been silent for 10 m before, and lines of others come; no photo waits"
            ),
            (
                State::Warn,
                "lines of gone",
                "the newest 15 m ago, and never that long before: it came at least every 1 m for 2 h"
            ),
            (
                State::Ok,
                "lines of irmgard",
                "the newest 4 s ago; 0.8 s late in the middle, 2.5 s at worst, of 3 lines"
            ),
            (
                State::Ok,
                "lines of object-store",
                "none: it writes nothing while all goes well"
            ),
            (State::Warn, "lines of postgres", "none has come in 24 h"),
            (
                State::Ok,
                "lines of rabbitmq",
                "the newest 15 m ago; how often it writes is not known yet, and lines of others come"
            ),
            (
                State::Warn,
                "lines of late",
                "11 s late in the middle, 12 s at worst, of 3 lines"
            ),
            (State::Ok, "lines of others", "etcd"),
        ]
    );
    // Where nothing comes at all, nobody is idle.
    day.components
        .retain(|_, seen| NOW - seen.stored > SILENT_SECONDS);
    let found = judge(&day, None, NOW);
    assert_eq!(
        texts(&found)[0],
        (
            State::Warn,
            "lines of anonymizer",
            "the newest 15 m ago, and none of any other component since"
        )
    );
}

#[test]
fn each_namespace_has_components_of_its_own() {
    let mut day = Day::default();
    for (namespace, component) in [
        ("a", "irmgard"),
        ("a", "anonymizer"),
        ("b", "irmgard"),
        ("c", "etcd"),
    ] {
        let place = Place {
            component: component.to_owned(),
            namespace: namespace.to_owned(),
        };
        day.components.insert(place, seen(1.0, &[]));
    }
    let found = judge(&day, None, NOW);
    let found: Vec<_> = found
        .iter()
        .map(|finding| (finding.state, finding.what.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (State::Ok, "lines of anonymizer in a"),
            (State::Warn, "lines of anonymizer in b"),
            (State::Ok, "lines of irmgard in a"),
            (State::Ok, "lines of irmgard in b"),
            (State::Ok, "lines of others"),
        ]
    );
}

#[test]
fn what_was_written_before_there_was_an_opensearch_is_not_late() {
    let hit = |stored: u64, written: u64| json!({ "fields": { "event.ingested": [stored.to_string()], "@timestamp": [written.to_string()] } });
    let hits = [hit(500_300, 500_000), hit(500_100, 470_000)];
    let answer = json!({ "aggregations": {
        "first": { "value": 500_000.0 },
        "components": { "buckets": [{
            "key": ["photos", "postgres"],
            "stored": { "value": 500_300.0 }, "written": { "value": 500_000.0 },
            "recent": { "newest": { "hits": { "hits": hits } } },
        }] },
    } });
    let day = read(&answer);
    let (place, seen) = day.components.first_key_value().unwrap();
    assert_eq!(
        (place.namespace.as_str(), place.component.as_str()),
        ("photos", "postgres")
    );
    assert_eq!(seen.late.len(), 1);
    assert!((seen.median() - 0.3).abs() < 1e-6);
}

#[test]
fn lines_are_late_in_the_middle_or_at_worst() {
    for (late, state) in [
        ([10.0, 10.0, 300.0], State::Ok),
        ([10.1, 1.0, 11.0], State::Warn),
        ([1.0, 1.0, 301.0], State::Warn),
        ([60.1, 60.2, 61.0], State::Fail),
        // From the future: that is told of the clocks.
        ([-5.0, -5.0, -1.0], State::Ok),
    ] {
        let day = day(&[("irmgard", seen(1.0, &late))]);
        let found = judge(
            &day,
            Some(&BTreeMap::from([(place("irmgard"), Written::default())])),
            NOW,
        );
        assert_eq!(found[0].state, state, "{found:?}");
    }
}

#[test]
fn a_worker_that_is_silent_while_photos_wait_is_told() {
    let photos = |age: f64| Waiting {
        count: 2,
        is_part: false,
        since: Some(NOW - age),
    };
    for (silent, waiting, state, detail) in [
        (
            Some(540.0),
            None,
            State::Ok,
            "the newest 9 m ago; how often it writes is not known yet, and lines of others come; no photo waits",
        ),
        (
            Some(540.0),
            Some(600.0),
            State::Warn,
            "the newest 9 m ago, while 2 photos wait, the oldest for 10 m",
        ),
        (
            None,
            Some(600.0),
            State::Warn,
            "none has come in 24 h, while 2 photos wait, the oldest for 10 m",
        ),
        // It works on them, or has only just been asked to.
        (
            Some(1.0),
            Some(600.0),
            State::Ok,
            "the newest 1 s ago; 2 photos wait, the oldest for 10 m",
        ),
        (
            Some(540.0),
            Some(5.0),
            State::Ok,
            "the newest 9 m ago; how often it writes is not known yet, and lines of others come; 2 photos wait, the oldest for 5 s",
        ),
    ] {
        let mut day = day(&[("irmgard", seen(1.0, &[]))]);
        if let Some(age) = silent {
            day.components.insert(place("anonymizer"), seen(age, &[]));
        }
        day.waiting
            .insert(String::new(), waiting.map_or_else(Waiting::default, photos));
        let found = judge(&day, None, NOW);
        assert_eq!((found[0].state, found[0].detail.as_str()), (state, detail));
    }
}

#[test]
fn lines_from_the_future_show_whose_clock_is_ahead() {
    let mut day = Day::default();
    assert_eq!(clocks(&day).state, State::Skip);
    day.ahead.insert("node-1".to_owned(), -0.3);
    assert_eq!(clocks(&day).state, State::Ok);
    day.ahead.insert("node-2".to_owned(), 130.0);
    day.ahead.insert(String::new(), 3.0);
    let found = clocks(&day);
    assert_eq!(
        (found.state, found.detail.as_str()),
        (
            State::Warn,
            "a machine without a node's name is 3 s ahead of OpenSearch, node-2 is 2 m 10 s ahead of OpenSearch"
        )
    );
}

#[test]
fn tags_are_counted_by_component() {
    let mut irmgard = seen(1.0, &[0.1]);
    assert_eq!(tags(&day(&[("irmgard", irmgard.clone())])).state, State::Ok);
    irmgard.tags = BTreeMap::from([("cut".to_owned(), 2), ("own".to_owned(), 9)]);
    let mut shop = seen(1.0, &[0.1]);
    shop.tags = BTreeMap::from([("cut".to_owned(), 1), ("unparsed-json".to_owned(), 4)]);
    let found = tags(&day(&[("irmgard", irmgard), ("shop", shop)]));
    assert_eq!(
        (found.state, found.detail.as_str()),
        (
            State::Warn,
            "cut: 2 of irmgard, 1 of shop; unparsed-json: 4 of shop"
        )
    );
}

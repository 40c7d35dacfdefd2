mod pods;

use serde_json::json;

use super::{arrivals::read, *};
use crate::doctor::finding::CheckStatus;

const NOW: f64 = 1_000_000.0;

fn component_key(name: &str) -> ComponentKey {
    ComponentKey {
        component: name.to_owned(),
        namespace: String::new(),
    }
}

fn arrival_stats(age: f64, late: &[f64]) -> ArrivalStats {
    ArrivalStats {
        stored: NOW - age,
        written: NOW - age - late.first().copied().unwrap_or(0.0),
        late: late.to_vec(),
        tags: BTreeMap::new(),
    }
}

fn arrivals_of(components: &[(&str, ArrivalStats)]) -> Arrivals {
    Arrivals {
        components: components
            .iter()
            .map(|(name, stats)| (component_key(name), stats.clone()))
            .collect(),
        pending: BTreeMap::from([(String::new(), PendingPhotos::default())]),
        ..Arrivals::default()
    }
}

fn texts(findings: &[Finding]) -> Vec<(CheckStatus, &str, &str)> {
    findings
        .iter()
        .map(|finding| (finding.status, finding.what.as_str(), finding.detail.as_str()))
        .collect()
}

#[test]
fn required_dependencies_come_from_labels_and_lines() {
    let mut arrivals = arrivals_of(&[
        ("irmgard", arrival_stats(4.0, &[0.1, 0.8, 2.5])),
        ("anonymizer", arrival_stats(900.0, &[])),
        ("rabbitmq", arrival_stats(900.0, &[])),
        ("etcd", arrival_stats(900.0, &[])),
        ("late", arrival_stats(4.0, &[11.0, 12.0, 3.0])),
    ]);
    arrivals.used = ["postgres", "rabbitmq", "object-store"].map(component_key).into();
    let found = judge(&arrivals, None, NOW);
    assert_eq!(
        texts(&found),
        [
            (
                CheckStatus::Ok,
                "lines of anonymizer",
                "the newest 15 m ago; other components are active; no photo is waiting"
            ),
            (
                CheckStatus::Ok,
                "lines of irmgard",
                "the newest 4 s ago; delay 0.8 s median, 2.5 s maximum, of 3 lines"
            ),
            (
                CheckStatus::Ok,
                "lines of object-store",
                "no line: it logs only problems"
            ),
            (CheckStatus::Warn, "lines of postgres", "no line in 24 h"),
            (
                CheckStatus::Ok,
                "lines of rabbitmq",
                "the newest 15 m ago; other components are active"
            ),
            (
                CheckStatus::Warn,
                "lines of late",
                "delay 11 s median, 12 s maximum, of 3 lines"
            ),
            (CheckStatus::Ok, "lines of others", "etcd"),
        ]
    );
    // No component is active.
    arrivals
        .components
        .retain(|_, stats| NOW - stats.stored > SILENT_SECONDS);
    let found = judge(&arrivals, None, NOW);
    assert_eq!(
        texts(&found)[0],
        (
            CheckStatus::Warn,
            "lines of anonymizer",
            "the newest 15 m ago, and no other component sent one since"
        )
    );
}

#[test]
fn components_are_separate_for_each_namespace() {
    let mut arrivals = Arrivals::default();
    for (namespace, component) in [
        ("a", "irmgard"),
        ("a", "anonymizer"),
        ("b", "irmgard"),
        ("c", "etcd"),
    ] {
        let key = ComponentKey {
            component: component.to_owned(),
            namespace: namespace.to_owned(),
        };
        arrivals.components.insert(key, arrival_stats(1.0, &[]));
    }
    let found = judge(&arrivals, None, NOW);
    let found: Vec<_> = found
        .iter()
        .map(|finding| (finding.status, finding.what.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (CheckStatus::Ok, "lines of anonymizer in a"),
            (CheckStatus::Warn, "lines of anonymizer in b"),
            (CheckStatus::Ok, "lines of irmgard in a"),
            (CheckStatus::Ok, "lines of irmgard in b"),
            (CheckStatus::Ok, "lines of others"),
        ]
    );
}

#[test]
fn lines_older_than_opensearch_are_not_late() {
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
    let arrivals = read(&answer);
    let (key, stats) = arrivals.components.first_key_value().unwrap();
    assert_eq!(
        (key.namespace.as_str(), key.component.as_str()),
        ("photos", "postgres")
    );
    assert_eq!(stats.late.len(), 1);
    assert!((stats.median() - 0.3).abs() < 1e-6);
}

#[test]
fn median_and_maximum_delay_are_judged() {
    for (late, status) in [
        ([10.0, 10.0, 300.0], CheckStatus::Ok),
        ([10.1, 1.0, 11.0], CheckStatus::Warn),
        ([1.0, 1.0, 301.0], CheckStatus::Warn),
        ([60.1, 60.2, 61.0], CheckStatus::Fail),
        // Negative delays are reported with the clocks.
        ([-5.0, -5.0, -1.0], CheckStatus::Ok),
    ] {
        let arrivals = arrivals_of(&[("irmgard", arrival_stats(1.0, &late))]);
        let found = judge(
            &arrivals,
            Some(&BTreeMap::from([(
                component_key("irmgard"),
                WrittenStats::default(),
            )])),
            NOW,
        );
        assert_eq!(found[0].status, status, "{found:?}");
    }
}

#[test]
fn silent_worker_with_waiting_photos_is_reported() {
    let photos = |age: f64| PendingPhotos {
        count: 2,
        is_partial: false,
        since: Some(NOW - age),
    };
    for (silent, pending, status, detail) in [
        (
            Some(540.0),
            None,
            CheckStatus::Ok,
            "the newest 9 m ago; other components are active; no \
             photo is waiting",
        ),
        (
            Some(540.0),
            Some(600.0),
            CheckStatus::Warn,
            "the newest 9 m ago, while 2 photos wait, the oldest for 10 m",
        ),
        (
            None,
            Some(600.0),
            CheckStatus::Warn,
            "no line in 24 h, while 2 photos wait, the oldest for 10 m",
        ),
        // It is processing them, or they arrived just now.
        (
            Some(1.0),
            Some(600.0),
            CheckStatus::Ok,
            "the newest 1 s ago; 2 photos wait, the oldest for 10 m",
        ),
        (
            Some(540.0),
            Some(5.0),
            CheckStatus::Ok,
            "the newest 9 m ago; other components are active; 2 \
             photos wait, the oldest for 5 s",
        ),
    ] {
        let mut arrivals = arrivals_of(&[("irmgard", arrival_stats(1.0, &[]))]);
        if let Some(age) = silent {
            arrivals
                .components
                .insert(component_key("anonymizer"), arrival_stats(age, &[]));
        }
        arrivals
            .pending
            .insert(String::new(), pending.map_or_else(PendingPhotos::default, photos));
        let found = judge(&arrivals, None, NOW);
        assert_eq!((found[0].status, found[0].detail.as_str()), (status, detail));
    }
}

#[test]
fn future_lines_reveal_a_fast_clock() {
    let mut arrivals = Arrivals::default();
    assert_eq!(clocks(&arrivals).status, CheckStatus::Skip);
    arrivals.ahead.insert("node-1".to_owned(), -0.3);
    assert_eq!(clocks(&arrivals).status, CheckStatus::Ok);
    arrivals.ahead.insert("node-2".to_owned(), 130.0);
    arrivals.ahead.insert(String::new(), 3.0);
    let found = clocks(&arrivals);
    assert_eq!(
        (found.status, found.detail.as_str()),
        (
            CheckStatus::Warn,
            "a machine without a node name is 3 s ahead of OpenSearch, node-2 is 2 m 10 s ahead of OpenSearch"
        )
    );
}

#[test]
fn tags_are_counted_by_component() {
    let mut irmgard = arrival_stats(1.0, &[0.1]);
    assert_eq!(
        tags(&arrivals_of(&[("irmgard", irmgard.clone())])).status,
        CheckStatus::Ok
    );
    irmgard.tags = BTreeMap::from([("cut".to_owned(), 2), ("own".to_owned(), 9)]);
    let mut shop = arrival_stats(1.0, &[0.1]);
    shop.tags = BTreeMap::from([("cut".to_owned(), 1), ("unparsed-json".to_owned(), 4)]);
    let found = tags(&arrivals_of(&[("irmgard", irmgard), ("shop", shop)]));
    assert_eq!(
        (found.status, found.detail.as_str()),
        (
            CheckStatus::Warn,
            "cut: 2 of irmgard, 1 of shop; unparsed-json: 4 of shop"
        )
    );
}

use super::*;
use crate::doctor::finding::State;

const NOW: f64 = 1_000_000.0;

fn seen(age: f64, lines: u64, median: f64, worst: f64) -> Seen {
    Seen {
        stored: NOW - age,
        written: NOW - age - median,
        lines,
        median,
        worst,
        tags: BTreeMap::new(),
    }
}

fn day(components: &[(&str, Seen)]) -> Day {
    Day {
        components: components
            .iter()
            .map(|(name, seen)| ((*name).to_owned(), seen.clone()))
            .collect(),
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
    let mut day = day(&[
        ("irmgard", seen(4.0, 120, 0.8, 2.5)),
        ("anonymizer", seen(900.0, 0, 0.0, 0.0)),
        ("etcd", seen(900.0, 0, 0.0, 0.0)),
        ("late", seen(4.0, 3, 11.0, 12.0)),
    ]);
    day.used.insert("postgres".to_owned());
    assert_eq!(
        texts(&judge(&day, None, NOW)),
        [
            (
                State::Warn,
                "lines of anonymizer",
                "the newest 15 m ago: it has nothing to say, or its lines do not come"
            ),
            (
                State::Ok,
                "lines of irmgard",
                "the newest 4 s ago; 120 lines in 15 m, 0.8 s late in the middle, 2.5 s at worst"
            ),
            (State::Warn, "lines of postgres", "none has come in 24 h"),
            (
                State::Warn,
                "lines of late",
                "11 s late in the middle, 12 s at worst, of 3 lines in 15 m"
            ),
            (State::Ok, "lines of others", "etcd"),
        ]
    );
}

#[test]
fn lines_are_late_in_the_middle_or_at_worst() {
    for (median, worst, state) in [
        (10.0, 300.0, State::Ok),
        (10.1, 11.0, State::Warn),
        (1.0, 301.0, State::Warn),
        (60.1, 61.0, State::Fail),
        // From the future: that is told of the clocks.
        (-5.0, -1.0, State::Ok),
    ] {
        let day = day(&[("irmgard", seen(1.0, 10, median, worst))]);
        let found = judge(
            &day,
            Some(&BTreeMap::from([("irmgard".to_owned(), Pods::default())])),
            NOW,
        );
        assert_eq!(found[0].state, state, "{found:?}");
    }
}

#[test]
fn what_pods_have_written_must_have_come() {
    let pods = |age: f64| {
        let pods = Pods {
            running: 1,
            newest: Some((NOW - age, "photos/irmgard-a".to_owned())),
            asked: true,
        };
        BTreeMap::from([("irmgard".to_owned(), pods)])
    };
    let quiet = day(&[("irmgard", seen(900.0, 0, 0.0, 0.0))]);
    for (day, written, state, detail) in [
        // It has written nothing since.
        (&quiet, 900.4, State::Ok, "the newest 15 m ago"),
        // It has, just now.
        (&quiet, 20.0, State::Ok, "the newest 15 m ago"),
        (
            &quiet,
            120.0,
            State::Fail,
            "photos/irmgard-a wrote a line 2 m ago, and the newest that has come is 15 m old",
        ),
        (
            &Day::default(),
            120.0,
            State::Fail,
            "photos/irmgard-a wrote a line 2 m ago, and none has come in 24 h",
        ),
    ] {
        let found = judge(day, Some(&pods(written)), NOW);
        assert_eq!((found[0].state, found[0].detail.as_str()), (state, detail));
    }
    let silent = BTreeMap::from([(
        "rabbitmq".to_owned(),
        Pods {
            running: 1,
            newest: None,
            asked: true,
        },
    )]);
    assert_eq!(judge(&Day::default(), Some(&silent), NOW)[0].state, State::Ok);
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
    let mut irmgard = seen(1.0, 1, 0.1, 0.1);
    assert_eq!(tags(&day(&[("irmgard", irmgard.clone())])).state, State::Ok);
    irmgard.tags = BTreeMap::from([("cut".to_owned(), 2), ("own".to_owned(), 9)]);
    let mut shop = seen(1.0, 1, 0.1, 0.1);
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

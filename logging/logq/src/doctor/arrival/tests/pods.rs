//! Findings with the lines of pods or files.

use super::*;

/// `compared` lines of irmgard. Those with the ages in `missing` (seconds) are not in OpenSearch.
fn written(running: Option<usize>, compared: u64, missing: &[f64]) -> WrittenStats {
    let mut written = WrittenStats {
        running,
        newest: Some(NOW - 1.0),
        compared,
        ..WrittenStats::default()
    };
    for age in missing {
        let missing = written.missing.get_or_insert_with(MissingLines::default);
        missing.add("photos/irmgard-a", NOW - age);
    }
    written
}

#[test]
fn written_lines_must_arrive() {
    let fresh = arrivals_of(&[("irmgard", arrival_stats(1.0, &[]))]);
    let quiet = arrivals_of(&[("irmgard", arrival_stats(900.0, &[]))]);
    let nothing = Arrivals::default();
    let none_read = WrittenStats {
        unreadable: Some("permission denied".to_owned()),
        ..written(Some(1), 0, &[])
    };
    let silent = WrittenStats {
        running: Some(1),
        ..WrittenStats::default()
    };
    let text = WrittenStats {
        texts: 7,
        ..written(Some(1), 0, &[])
    };
    for (arrivals, written, status, detail) in [
        (
            &quiet,
            written(Some(1), 40, &[]),
            CheckStatus::Ok,
            "the newest 15 m ago; all of 40 lines have come",
        ),
        // The newest line arrived, others did not.
        (
            &fresh,
            written(Some(1), 40, &[500.0, 400.0, 300.0]),
            CheckStatus::Fail,
            "3 of 40 lines have not come: photos/irmgard-a wrote the first 8 m 20 s ago, the last 5 m ago",
        ),
        // No line ever arrived.
        (
            &nothing,
            written(Some(1), 2, &[120.0, 90.0]),
            CheckStatus::Fail,
            "none of 2 lines has come: photos/irmgard-a wrote the first 2 m ago, the last 1 m 30 s ago",
        ),
        (
            &nothing,
            written(Some(1), 1, &[90.0]),
            CheckStatus::Fail,
            "none of 1 line has come: photos/irmgard-a wrote 1 m 30 s ago",
        ),
        (
            &nothing,
            written(Some(1), 0, &[]),
            CheckStatus::Ok,
            "its pods wrote the first line 1 s ago: too new to judge",
        ),
        (
            &nothing,
            silent,
            CheckStatus::Ok,
            "its pods wrote no lines in 24 h",
        ),
        (
            &nothing,
            none_read.clone(),
            CheckStatus::Warn,
            "no line in 24 h; the lines of its pods were not compared: permission denied",
        ),
        (
            &fresh,
            none_read.clone(),
            CheckStatus::Warn,
            "the newest 1 s ago; the lines of its pods were not compared: permission denied",
        ),
        (
            &fresh,
            WrittenStats {
                compared: 3,
                ..none_read
            },
            CheckStatus::Warn,
            "the newest 1 s ago; all of 3 lines have come, and others could not be read: permission denied",
        ),
        // Plain text is not compared.
        (
            &quiet,
            text.clone(),
            CheckStatus::Warn,
            "the newest 15 m ago, and no other component sent one since",
        ),
        (
            &fresh,
            text.clone(),
            CheckStatus::Ok,
            "the newest 1 s ago; 7 lines of plain text in its pods, which are not compared",
        ),
        (&nothing, text, CheckStatus::Warn, "no line in 24 h"),
        (
            &quiet,
            written(Some(0), 0, &[]),
            CheckStatus::Warn,
            "it has no running pod; its newest line arrived 15 m ago",
        ),
        // It restarts right now.
        (
            &fresh,
            written(Some(0), 0, &[]),
            CheckStatus::Ok,
            "the newest 1 s ago",
        ),
        // Files do not tell which pods run.
        (
            &quiet,
            written(None, 40, &[]),
            CheckStatus::Ok,
            "the newest 15 m ago; all of 40 lines have come",
        ),
    ] {
        let written = BTreeMap::from([(component_key("irmgard"), written)]);
        let found = judge(arrivals, Some(&written), NOW);
        assert_eq!((found[0].status, found[0].detail.as_str()), (status, detail));
    }
    let mut several = written(Some(2), 5, &[90.0]);
    let missing = several.missing.as_mut().unwrap();
    missing.add("photos/irmgard-b", NOW - 120.0);
    several.unreadable = Some("the node is gone".to_owned());
    let found = judge(
        &nothing,
        Some(&BTreeMap::from([(component_key("irmgard"), several)])),
        NOW,
    );
    assert_eq!(
        found[0].detail,
        "2 of 5 lines have not come: photos/irmgard-a and 1 other pod wrote the first 2 m ago, the last 1 m \
         30 s ago; \
         others could not be read: the node is gone"
    );
    // Missing lines of a finished job count; the missing job does not.
    for (missing, found) in [(&[90.0][..], 1), (&[], 0)] {
        let written = BTreeMap::from([(component_key("logq"), written(Some(0), 5, missing))]);
        assert_eq!(judge(&nothing, Some(&written), NOW).len(), found);
    }
}

#[test]
fn service_without_a_pod_is_diagnosed() {
    let mut arrivals = arrivals_of(&[
        ("irmgard", arrival_stats(1.0, &[])),
        ("anonymizer", arrival_stats(540.0, &[])),
    ]);
    let here = BTreeMap::from([(component_key("irmgard"), written(Some(1), 0, &[]))]);
    let anonymizer = |arrivals: &Arrivals| {
        let found = judge(arrivals, Some(&here), NOW);
        (found[0].status, found[0].detail.clone())
    };
    assert_eq!(
        anonymizer(&arrivals),
        (
            CheckStatus::Warn,
            "it has no running pod; its newest line arrived 9 m ago".to_owned()
        )
    );
    let pending = PendingPhotos {
        count: 12,
        is_partial: false,
        since: Some(NOW - 600.0),
    };
    arrivals.pending.insert(String::new(), pending);
    assert_eq!(
        anonymizer(&arrivals),
        (
            CheckStatus::Warn,
            "it has no running pod; the newest 9 m ago, while 12 photos wait, the oldest for \
             10 m"
                .to_owned()
        )
    );
    // Another cluster, a cluster without our pods, or lines without a cluster.
    arrivals.pending = BTreeMap::from([(String::new(), PendingPhotos::default())]);
    let elsewhere = ComponentKey {
        namespace: "elsewhere".to_owned(),
        ..component_key("irmgard")
    };
    for written in [
        BTreeMap::from([(elsewhere, written(Some(1), 0, &[]))]),
        BTreeMap::new(),
    ] {
        let found = judge(&arrivals, Some(&written), NOW);
        let found = found
            .iter()
            .find(|found| found.what.starts_with("lines of anonymizer"));
        let found = found.unwrap();
        assert_eq!(
            (found.status, found.detail.as_str()),
            (
                CheckStatus::Ok,
                "the newest 9 m ago; other components are active; no \
                 photo is waiting"
            )
        );
    }
}

#[test]
fn missing_worker_with_waiting_photos_is_reported() {
    let mut arrivals = arrivals_of(&[("irmgard", arrival_stats(1.0, &[]))]);
    let written = BTreeMap::from([(component_key("irmgard"), written(Some(1), 0, &[]))]);
    let anonymizer = |arrivals: &Arrivals| {
        let found = judge(arrivals, Some(&written), NOW);
        found
            .into_iter()
            .find(|found| found.what == "lines of anonymizer")
            .map(|found| (found.status, found.detail))
    };
    let pending = |seconds| PendingPhotos {
        count: 500,
        is_partial: false,
        since: Some(NOW - seconds),
    };
    arrivals.pending.insert(String::new(), pending(10.0));
    assert_eq!(anonymizer(&arrivals), None);
    arrivals.pending.insert(String::new(), pending(600.0));
    let expected = "it has no running pod; no line in 24 h, while 500 photos wait, the \
        oldest for 10 m";
    assert_eq!(
        anonymizer(&arrivals),
        Some((CheckStatus::Warn, expected.to_owned()))
    );
}

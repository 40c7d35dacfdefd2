//! Properties of all documents.

use proptest::prelude::*;

use super::*;

/// JSON that resembles programs' lines, with odd values in odd places.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec![
            "17",
            "true",
            "info",
            "2026-11-22T10:49:43Z",
            "2026-11-22 10:49:43 UTC",
            "LOG",
            "SEVERE",
            "ERROR+2",
            "1795342799123",
            "2026-11-22 10:49:43,101 +0200",
            "2026-11-22T10:49:43.101",
            "<0.1.0>",
            "duration: 1 ms  statement: x",
            "connection <0.1.0> (a:1 -> b:2)",
        ])
        .prop_map(Value::from),
        (8180..8200_usize).prop_map(|length| "é".repeat(length / 2 + 1).into()),
    ];
    leaf.prop_recursive(12, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name(), inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn name() -> impl Strategy<Value = String> {
    let known: Vec<&str> = schema::FIELDS.iter().map(|field| field.name).collect();
    let parts: Vec<&str> = known.iter().flat_map(|name| name.split('.')).collect();
    prop_oneof![
        prop::sample::select(known).prop_map(ToOwned::to_owned),
        prop::sample::select(parts).prop_map(ToOwned::to_owned),
        prop::sample::select(vec![
            "timestamp",
            "time",
            "msg",
            "error_severity",
            "pid",
            "domain",
            "mfa",
            "line_num",
            "ts",
            "t",
            "$date",
            "s",
            "instant",
            "epochSecond",
            "nanoOfSecond",
            "@t",
            "@l",
            "short_message",
            "PRIORITY",
            "MESSAGE",
            "__REALTIME_TIMESTAMP",
            "log",
            "stream",
            "attrs",
            "_id",
            "a.b",
            "log.x",
            "kubernetes.labels.app.kubernetes.io/name",
            "irmgard.dev/uses-database",
            "fields.",
            "photo.id.x",
        ])
        .prop_map(ToOwned::to_owned),
        "[a-c.]{0,8}",
        ".{0,3}",
        (500..520_usize).prop_map(|length| "n".repeat(length)),
    ]
}

fn members() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    let heads = prop::sample::select(vec![
        json!({}),
        json!({"@timestamp": "2026-11-22T10:49:43Z", "level": "info", "message": "m"}),
        json!({"timestamp": "2026-11-22 10:49:43 UTC", "error_severity": "LOG", "message": "m"}),
        json!({"time": "2026-11-22 10:49:43+00:00", "level": "info", "msg": "m", "pid": "<0.1.0>"}),
        json!({"log": "{\"level\":\"warn\"}\n", "stream": "stderr", "time": "2026-11-22T10:49:43Z"}),
    ]);
    (heads, prop::collection::vec((name(), value()), 0..8)).prop_map(|(head, members)| {
        let head = head.as_object().cloned().unwrap_or_default();
        members.into_iter().chain(head).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_object_becomes_a_document_that_an_index_takes(members in members()) {
        let line = serde_json::to_vec(&members).unwrap();
        for origin in [pod(), file()] {
            let document = document(&line, &origin);
            let again = Document::from_json(document.to_json().as_bytes()).unwrap();
            prop_assert_eq!(&again, &document);
        }
    }

    #[test]
    fn any_bytes_become_a_document(bytes in prop::collection::vec(any::<u8>(), 0..200), brace in any::<bool>()) {
        let line = if brace { [b"{".as_slice(), &bytes].concat() } else { bytes };
        let first = document(&line, &pod());
        prop_assert_eq!(&first, &document(&line, &pod()));
        let _ = Cri::parse(&line);
        let _ = crate::timestamped(&line);
    }

    /// Parts of headers in any order, cut anywhere.
    #[test]
    fn any_text_becomes_a_document(parts in prop::collection::vec(prop_oneof![
        prop::sample::select(vec![
            "2026-11-22T10:49:43", "2026/11/22 10:49:43,101", "22/Nov/2026:10:49:43", "Nov 22, 2026 1:49:43 PM ", "10:49:43",
            "Sun Nov 22 10:49:43.5 2026", "Z", "+0200", "-99:99", " CET", "[", "]", "{", "}", "<34>", "<165>1 ", " - ", "|", ":",
            "=", "\"", "E1122 10:49:43.101234", "E, [", "WARN", "warn", "ERROR+2", "level", "ts", "1:M ", " # ", "fail: a[0]",
            "1795342799123", "é", "\u{feff}", "\n", "\u{1b}[31m", " ", "\t", "0", ".",
        ]).prop_map(ToOwned::to_owned),
        ".{0,3}",
    ], 0..8)) {
        let text = parts.concat();
        for origin in [pod(), file()] {
            document(text.as_bytes(), &origin);
        }
        let without_time = normalize(&RawLine::plain(text.as_bytes(), 0), &file());
        prop_assert!(without_time.level().is_none_or(|level| schema::level::ALL.contains(&level)));
        // A parsed time can be written and parsed again.
        if let Some(time) = Time::from_text(&text) {
            prop_assert_eq!(Time::parse(&time.to_string()), Some(time));
        }
    }

    /// Another time, container, offset or byte gives another id.
    #[test]
    fn ids_differ(a in "[ab\\x00]{0,4}", b in "[ab\\x00]{0,4}", earlier in 0..3_i64, later in 0..3_i64) {
        let id = |text: &str, nanos: i64| {
            let mut line = RawLine::plain(text.as_bytes(), u64::try_from(nanos).unwrap());
            line.time = Some(Time::from_nanos(nanos));
            [pod(), file()].map(|origin| normalize(&line, &origin).id().unwrap().to_owned())
        };
        let same = a == b && earlier == later;
        let [pod_a, file_a] = id(&a, earlier);
        let [pod_b, file_b] = id(&b, later);
        prop_assert_eq!((pod_a == pod_b, file_a == file_b), (same, same));
        prop_assert_ne!(pod_a, file_a);
    }
}

//! Whatever the fields hold: one line, JSON, short enough.

use proptest::{collection::vec, prelude::*};
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::Value as Json;

use super::{value::RecordedValue, *};

const SERVICE: &str = r#""component":"irmgard","service":{"name":"irmgard","version":"1"}"#;

fn written(message: &str, named: Vec<(String, RecordedValue)>, kubernetes: &str) -> String {
    let mut fields = Fields {
        message: Some(Text::new(message)),
        ..Fields::default()
    };
    for (name, value) in named {
        fields.set(Box::leak(name.into_boxed_str()), value);
    }
    let line = Line {
        time: Utc::now(),
        level: Level::INFO,
        target: "tests",
        identity: None,
        service: SERVICE,
        kubernetes,
        fields: &fields,
    };
    let mut out = String::from("left over");
    line.write(&mut out);
    out
}

fn checked(line: &str) -> Result<Json, TestCaseError> {
    prop_assert!(line.len() < MAX_LINE_BYTES, "{} bytes", line.len());
    let text = line.strip_suffix('\n').unwrap();
    prop_assert!(
        !text.contains(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}'),
        "{text:?}"
    );
    let json = serde_json::from_str::<Distinct>(text)
        .map_err(|e| TestCaseError::fail(format!("{e}: {text}")))?
        .0;
    for (name, value) in [("level", "info"), ("component", "irmgard"), ("target", "tests")] {
        prop_assert_eq!(&json[name], value);
    }
    prop_assert_eq!(&json["service"]["version"], "1");
    Ok(json)
}

/// Any JSON in which no object has two members of one name: RFC 8259 lets readers differ about these.
struct Distinct(Json);

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DistinctVisitor).map(Self)
    }
}

struct DistinctVisitor;

impl<'de> Visitor<'de> for DistinctVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of distinct members, or a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = serde_json::Map::new();
        while let Some((name, member)) = map.next_entry::<String, Distinct>()? {
            if members.insert(name.clone(), member.0).is_some() {
                return Err(A::Error::custom(format!("{name:?} twice")));
            }
        }
        Ok(Json::Object(members))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => any::<String>(),
        4 => vec(prop_oneof![Just('"'), Just('\\'), Just('\0'), Just('\n'), Just('\u{2028}'), Just('😀')], 0..60)
            .prop_map(String::from_iter),
        1 => (any::<char>(), prop_oneof![20 => 1_usize..30_000, 1 => Just(1_000_000)]).prop_map(|(c, bytes)| c.to_string().repeat(bytes / c.len_utf8())),
    ]
}

fn value() -> impl Strategy<Value = RecordedValue> {
    prop_oneof![
        any::<bool>().prop_map(RecordedValue::Bool),
        any::<i64>().prop_map(RecordedValue::Signed),
        any::<u64>().prop_map(RecordedValue::Unsigned),
        any::<f64>().prop_map(RecordedValue::Float),
        text().prop_map(|text| RecordedValue::Text(Text::new(&text))),
    ]
}

/// Names that contradict each other, that the line itself has, or that are none.
fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        vec(prop_oneof![Just("a"), Just("b"), Just("value"), Just("")], 1..12)
            .prop_map(|parts| parts.join(".")),
        prop::sample::select(vec![
            "level",
            "service",
            "service.name",
            "kubernetes.pod",
            "trace_id",
            "photo",
            "fields",
            "truncated"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(schema::FIELDS).prop_map(|field| field.name.to_owned()),
        any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn any_fields(message in text(), named in vec((name(), value()), 0..12)) {
        checked(&written(&message, named, ""))?;
    }

    #[test]
    fn very_many_fields(named in vec(("[a-z]{1,40}(\\\\.[a-z]{1,40}){0,3}", value()), 300..400)) {
        let line = written("many", named, "");
        prop_assert_eq!(&checked(&line)?["truncated"], true);
        // What fits is used: the line is not thrown away for being too long.
        prop_assert!(line.len() > MAX_LINE_BYTES / 2, "{} bytes", line.len());
    }

    #[test]
    fn what_fits_is_whole(message in "\\\\PC{0,200}", text in any::<String>(), number in any::<i64>()) {
        prop_assume!(text.len() < 1000);
        let named = vec![
            ("x.text".to_owned(), RecordedValue::Text(Text::new(&text))),
            ("x.number".to_owned(), RecordedValue::Signed(number)),
        ];
        let json = checked(&written(&message, named, ""))?;
        prop_assert_eq!(&json["message"], &message);
        prop_assert_eq!(&json["x"]["text"], &text);
        prop_assert_eq!(&json["x"]["number"], number);
        prop_assert!(json.get("truncated").is_none());
    }

    #[test]
    fn any_pod(values in vec(text(), 5), labels in vec((prop_oneof![text(), "[a-z]{1,5}"], text()), 0..80)) {
        let labels = labels.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",");
        let kubernetes = crate::kubernetes::block(&|name| match name {
            "K8S_NAMESPACE" => Some(values[0].clone()),
            "K8S_POD_NAME" => Some(values[1].clone()),
            "K8S_POD_UID" => Some(values[2].clone()),
            "K8S_CONTAINER_NAME" => Some(values[3].clone()),
            "K8S_NODE_NAME" => Some(values[4].clone()),
            "K8S_POD_LABELS" => Some(labels.clone()),
            _ => Some("/nonexistent".to_owned()),
        });
        let long = vec![("text".to_owned(), RecordedValue::Text(Text::new(&"x".repeat(100_000))))];
        checked(&written(&"m".repeat(100_000), long, &kubernetes))?;
    }
}

#[test]
fn a_cut_text_says_how_much_is_missing() {
    let line = written(
        "m",
        vec![(
            "text".into(),
            RecordedValue::Text(Text::new(&"x".repeat(1_000_000))),
        )],
        "",
    );
    let json: Json = serde_json::from_str(&line).unwrap();
    let text = json["text"].as_str().unwrap();
    let (kept, mark) = text.split_once('…').unwrap();
    assert_eq!(mark, format!("[+{} bytes]", 1_000_000 - kept.len()));
    assert_eq!(json["truncated"], true);
}

#[test]
fn a_debug_value_of_any_length_is_cut_as_it_is_written() {
    let mut text = Text::default();
    std::fmt::write(&mut text, format_args!("{:?}", "é".repeat(500_000))).unwrap();
    assert!(text.prefix.len() <= MAX_LINE_BYTES);
    assert_eq!(text.prefix.len() + text.cut_bytes, 1_000_002);
}

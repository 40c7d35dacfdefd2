//! Compares this parser with `serde_json`.

use proptest::{prelude::*, sample::select};

use super::*;

/// Checks that both parsers read and write a text in the same way.
fn check(text: &str) {
    let arena = Arena::new();
    let expected: Option<Map<String, OwnedValue>> = serde_json::from_str(text).ok();
    let parsed = parse(text, &arena);
    assert_eq!(parsed.map(Object::to_map), expected, "{text}");
    if let (Some(object), Some(expected)) = (parsed, expected) {
        assert_eq!(parse_lenient(text, &arena), parsed);
        let mut json = String::new();
        object.write_json(&mut json);
        assert_eq!(json, serde_json::to_string(&expected).unwrap());
    }
}

#[test]
fn the_lenient_parser_reads_what_other_writers_emit() {
    for (value, expected) in [
        ("NaN", Some("NaN")),
        ("Infinity", Some("Infinity")),
        ("-Infinity", Some("-Infinity")),
        ("1e400", Some("1e400")),
        (r#""a\ud800b""#, Some("a\u{fffd}b")),
        (r#""\uDC00""#, Some("\u{fffd}")),
        (r#""\ud800\ud83d\ude00""#, Some("\u{fffd}😀")),
        (r#""\ud800\é""#, None),
        ("nan", None),
        ("-NaN", None),
        ("Infinit", None),
        ("NaNs", None),
    ] {
        let arena = Arena::new();
        let text = format!("{{\"a\":{value},\"b\":1}}");
        assert_eq!(parse(&text, &arena), None, "{text}");
        let parsed = parse_lenient(&text, &arena);
        let found = parsed.and_then(|object| object.get("a")?.as_str());
        assert_eq!(found, expected, "{text}");
    }
}

/// Texts at the edge of the grammar, one on each line.
const TEXTS: &str = r#"
{
{}
 {} 
{}x
[1]
{"a":NaN}
{"a":1e400}
{"a":"\ud800"}
{"a":"\ud83d\ude00 \\\""}
{'a':1}
{"a":1}//
{"a":01}
{"a":-}
{"a":1.}
{"a":.5}
{"a":1e}
{"a":tru}
{"a" 1}
{"a":1,}
{"a":[1,]}
{"a":[]}
{"a":{}}
{,}
{"a":1 "b":2}
{"a":1}}
{"a
{"a":"x\
{"a":nul
{"b":1,"a":2,"b":3,"c":4,"a":5}"#;

const NUMBERS: &str = "0 -0 0.0 -0.0 17 -17 17.0 17.50 0.1 0.0001 0.00001 0.000123 1e3 1E-7 123456789012345678 \
    18446744073709551615 18446744073709551616 -9223372036854775809 0.1234567890123456789 12345678901234.5 \
    1.7976931348623157e308 2.002187484";

#[test]
fn it_reads_and_writes_like_serde() {
    TEXTS.lines().for_each(check);
    for number in NUMBERS.split(' ') {
        check(&format!("{{\"a\":{number}}}"));
    }
    for text in ["{\"a\":\"\t\"}", "{\"a\":\"é\u{7f}\u{1}\"}", "{\"a\":1} \r\n"] {
        check(text);
    }
    let nested = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for depth in [127, 128, 1000] {
        check(&nested(depth));
        check(&format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
    }
    check(&format!("{{\"a\":{}}}", "9".repeat(400)));
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        "-?[0-9]{1,20}(\\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?",
        "\"([ -~é☃]|\\\\[\\\\\"/bfnrt]|\\\\u[0-9a-fD][0-9a-f]{3}){0,20}\"",
        select(vec!["true", "false", "null", "nan", "\"\\x\"", ""]).prop_map(str::to_owned),
    ]
}

fn json() -> impl Strategy<Value = String> {
    scalar().prop_recursive(4, 40, 6, |inner| {
        let member = ("[a-c ]{0,2}", inner.clone()).prop_map(|(name, value)| format!("\"{name}\" :{value}"));
        prop_oneof![
            proptest::collection::vec(inner, 0..5).prop_map(|all| format!("[{}]", all.join(" ,"))),
            proptest::collection::vec(member, 0..6).prop_map(|all| format!("{{{}}}", all.join(","))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn it_accepts_the_same_texts_as_serde(json in json(), cut in 0..40_usize) {
        check(&json);
        let whole = format!("{{\"a\":{json}}}");
        check(&whole);
        let end = whole.floor_char_boundary(whole.len().saturating_sub(cut));
        check(&whole[..end]);
    }
}

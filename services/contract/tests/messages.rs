//! What the queues' messages are taken for.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use contract::{
    Detection, FailureReason, Job, JobError, JobMessage, LegacyJob, MAX_DETAIL_CHARS, PhotoId, PhotoResult,
    ResultError, Verdict, headers::MAX_MESSAGE_BYTES, media::MAX_SIDE,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn ours() -> Value {
    json!({
        "version": 1, "id": 17, "name": "cam 1.jpg",
        "storage_location": "input/photos/site-north/2024-05-06/17.jpg",
        "uri": "s3://input/photos/site-north/2024-05-06/17.jpg",
        "output": "s3://output/photos/site-north/2024-05-06/17.jpg",
        "project": "site-north",
    })
}

fn with(mut message: Value, name: &str, value: Value) -> Vec<u8> {
    message[name] = value;
    message.to_string().into_bytes()
}

fn without(mut message: Value, name: &str) -> Vec<u8> {
    message.as_object_mut().unwrap().remove(name);
    message.to_string().into_bytes()
}

#[test]
fn our_job_keeps_the_given_fields_on_the_wire() {
    let job: Job = serde_json::from_value(ours()).unwrap();
    let wire: Value = serde_json::from_slice(&job.encode().unwrap()).unwrap();
    assert_eq!(wire, ours());
    assert_eq!(
        JobMessage::decode(&job.encode().unwrap()),
        Ok(JobMessage::Versioned(job))
    );
}

#[test]
fn the_given_web_services_job() {
    let body = br#"{"id":1,"name":"a.jpg","storage_location":"infiles/a.jpg"}"#;
    let given = LegacyJob {
        id: 1,
        name: "a.jpg".to_owned(),
        storage_location: "infiles/a.jpg".to_owned(),
    };
    assert_eq!(JobMessage::decode(body), Ok(JobMessage::Legacy(given)));
}

#[test]
fn a_field_that_a_later_program_adds_is_no_harm() {
    assert!(matches!(
        JobMessage::decode(&with(ours(), "priority", json!([1, {"x": null}]))),
        Ok(JobMessage::Versioned(_))
    ));
}

#[test]
fn what_belongs_to_no_photo() {
    let not_a_job: [&[u8]; 9] = [
        b"",
        b"null",
        b"[]",
        b"\"job\"",
        b"{",
        b"{}",
        b"\xff\xfe{}",
        br#"{"id":"1","name":"a.jpg","storage_location":"infiles/a.jpg"}"#,
        br#"{"id":1,"name":"a.jpg"}"#,
    ];
    for body in not_a_job {
        let decoded = JobMessage::decode(body);
        assert!(matches!(decoded, Err(JobError::NotAJob(_))), "{decoded:?}");
    }
    for id in [
        json!(0),
        json!(-1),
        json!(1.5),
        json!("17"),
        json!(u64::MAX),
        Value::Null,
    ] {
        let decoded = JobMessage::decode(&with(ours(), "id", id));
        assert!(matches!(decoded, Err(JobError::NotAJob(_))), "{decoded:?}");
    }
    for version in [json!(0), json!("1"), json!(1.0), Value::Null, json!({})] {
        let decoded = JobMessage::decode(&with(ours(), "version", version));
        assert!(matches!(decoded, Err(JobError::UnknownVersion(_))), "{decoded:?}");
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        JobMessage::decode(deep.as_bytes()),
        Err(JobError::NotAJob(_))
    ));
}

#[test]
fn what_is_wrong_but_names_its_photo() {
    let id = PhotoId::try_from(17).unwrap();
    for name in ["name", "storage_location", "uri", "output", "project"] {
        for body in [without(ours(), name), with(ours(), name, json!(5))] {
            let decoded = JobMessage::decode(&body);
            assert!(
                matches!(decoded, Err(JobError::Malformed { id: of, .. }) if of == id),
                "{decoded:?}"
            );
        }
    }
    for (name, value) in [
        ("project", "../../etc"),
        ("project", ""),
        ("uri", "file:///etc/passwd"),
        ("uri", "s3://../key"),
        ("uri", "s3://input/x/../photos/site-north/2024-05-06/17.jpg"),
        (
            "output",
            "s3://output/../input/photos/site-north/2024-05-06/17.jpg",
        ),
        ("output", "output/key"),
    ] {
        let decoded = JobMessage::decode(&with(ours(), name, json!(value)));
        assert!(matches!(decoded, Err(JobError::Malformed { .. })), "{decoded:?}");
    }
}

#[test]
fn a_long_message_is_not_read() {
    let fits = MAX_MESSAGE_BYTES - ours().to_string().len();
    let name = |bytes: usize| with(ours(), "name", json!("x".repeat(bytes)));
    let longest = name(fits + "cam 1.jpg".len());
    assert_eq!(longest.len(), MAX_MESSAGE_BYTES);
    assert!(JobMessage::decode(&longest).is_ok());
    assert_eq!(
        JobMessage::decode(&name(fits + "cam 1.jpg".len() + 1)),
        Err(JobError::TooLong(MAX_MESSAGE_BYTES + 1))
    );
}

/// The error goes into log lines, message headers and the photo's row.
#[test]
fn an_error_does_not_carry_the_message() {
    let long = json!("é".repeat(100_000));
    let bodies = [
        with(ours(), "project", long.clone()),
        with(ours(), "uri", json!([long.clone()])),
        with(ours(), "id", long.clone()),
        with(ours(), "version", long.clone()),
        with(
            json!({"name": "a.jpg", "storage_location": "infiles/a.jpg"}),
            "id",
            long.clone(),
        ),
    ];
    for body in bodies {
        let error = JobMessage::decode(&body).unwrap_err().to_string();
        assert!(error.len() < 600, "{} bytes", error.len());
    }
    let result = json!({"version": 1, "id": 1, "outcome": long});
    let error = PhotoResult::decode(result.to_string().as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.len() < 600, "{} bytes", error.len());
}

#[test]
fn results_as_they_lie_on_the_wire() {
    let id = PhotoId::try_from(17).unwrap();
    let failed = PhotoResult::new(
        id,
        Verdict::Failed {
            reason: FailureReason::OriginalMissing,
            detail: "neither original nor output".to_owned(),
        },
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&failed.encode().unwrap()).unwrap(),
        json!({"version": 1, "id": 17, "outcome": "failed", "reason": "original-missing", "detail": "neither original nor output"})
    );
    let anonymized = PhotoResult::new(
        id,
        Verdict::Anonymized {
            output: "s3://output/photos/a/2024-05-06/17.jpg".parse().unwrap(),
            size_bytes: 5,
            width: 2,
            height: 3,
            detections: None,
            seconds: None,
        },
    );
    assert_eq!(
        serde_json::from_slice::<Value>(&anonymized.encode().unwrap()).unwrap(),
        json!({"version": 1, "id": 17, "outcome": "anonymized", "output": "s3://output/photos/a/2024-05-06/17.jpg", "size_bytes": 5, "width": 2, "height": 3})
    );
}

/// A result message may have 256 KiB, and its detail goes to the row, the log and every answer about the photo.
#[test]
fn a_long_detail_is_cut_by_writer_and_reader() {
    let body = |detail: &str| {
        let result =
            json!({"version": 1, "id": 17, "outcome": "failed", "reason": "too-large", "detail": detail});
        result.to_string().into_bytes()
    };
    for character in ["x", "ä", "𐍈", "\u{0}"] {
        let whole = character.repeat(MAX_DETAIL_CHARS);
        for (detail, expected) in [
            (whole.clone(), whole.clone()),
            (character.repeat(30_000), format!("{whole}…")),
        ] {
            let outcome = Verdict::failed(FailureReason::TooLarge, detail.clone());
            let Verdict::Failed { detail: written, .. } = &outcome else {
                panic!("a failure");
            };
            assert_eq!(*written, expected);
            let read = PhotoResult::decode(&body(&detail)).unwrap();
            assert_eq!(read.verdict, outcome);
            // What a writer has cut is the same for the reader.
            assert_eq!(PhotoResult::decode(&body(written)).unwrap().verdict, outcome);
        }
    }
}

#[test]
fn what_is_no_result() {
    let good = json!({"version": 1, "id": 17, "outcome": "failed", "reason": "too-large", "detail": ""});
    assert!(PhotoResult::decode(good.to_string().as_bytes()).is_ok());
    for body in [
        without(good.clone(), "version"),
        without(good.clone(), "id"),
        without(good.clone(), "outcome"),
        without(good.clone(), "reason"),
        with(good.clone(), "id", json!(0)),
        with(good.clone(), "outcome", json!("lost")),
        with(good.clone(), "reason", json!(5)),
        b"[1]".to_vec(),
        vec![],
    ] {
        let decoded = PhotoResult::decode(&body);
        assert!(matches!(decoded, Err(ResultError::NotAResult(_))), "{decoded:?}");
    }
    for version in [json!(0), json!("1"), json!(1.0), Value::Null] {
        let decoded = PhotoResult::decode(&with(good.clone(), "version", version));
        assert!(
            matches!(decoded, Err(ResultError::UnknownVersion(_))),
            "{decoded:?}"
        );
    }
    let unreadable = with(
        serde_json::from_slice(&without(good, "reason")).unwrap(),
        "version",
        json!(2),
    );
    assert_eq!(
        PhotoResult::decode(&unreadable),
        Err(ResultError::UnknownVersion("2".to_owned()))
    );
}

/// During a rollout, an older irmgard reads the results of newer workers.
#[test]
fn a_result_of_a_newer_worker_is_read() {
    let body = json!({
        "version": 7, "id": 17, "outcome": "anonymized", "output": "s3://output/photos/a/2024-05-06/17.jpg",
        "size_bytes": 5, "width": 2, "height": 3, "gpu": {"name": "x"},
        "detections": [{"class": "dragon", "score": 0.5, "x": 1, "y": 2, "width": 3, "height": 4, "mask": [1, 2]}],
    });
    let result = PhotoResult::decode(body.to_string().as_bytes()).unwrap();
    assert_eq!((result.version, result.id.get()), (7, 17));
    let Verdict::Anonymized {
        detections: Some(detections),
        ..
    } = &result.verdict
    else {
        panic!("{result:?}");
    };
    assert_eq!(detections[0].class, "dragon");
    let body =
        json!({"version": 2, "id": 17, "outcome": "failed", "reason": "too-tired", "detail": "after lunch"});
    let result = PhotoResult::decode(body.to_string().as_bytes()).unwrap();
    let expected = Verdict::failed(FailureReason::ProcessingError, "too-tired: after lunch");
    assert_eq!(result.verdict, expected);
}

/// During a rollout, an older worker reads the jobs of a newer irmgard.
#[test]
fn a_job_of_a_newer_irmgard_is_read_if_it_has_the_known_fields() {
    let newer = |message| with(message, "version", json!(2));
    let job = JobMessage::decode(&newer(
        serde_json::from_slice(&with(ours(), "priority", json!(3))).unwrap(),
    ));
    assert!(
        matches!(job, Ok(JobMessage::Versioned(Job { version: 2, .. }))),
        "{job:?}"
    );
    let other = JobMessage::decode(&newer(serde_json::from_slice(&without(ours(), "uri")).unwrap()));
    assert_eq!(other, Err(JobError::UnknownVersion("2".to_owned())));
}

/// Such a number would be kept for good, and some cannot be read again: JSON
/// has no infinity, which 1e300 is as a score.
#[test]
fn numbers_that_cannot_be_true_are_no_result() {
    let detection = json!({"class": "face", "score": 0.5, "x": 1, "y": 2, "width": 3, "height": 4});
    let good = json!({
        "version": 1, "id": 17, "outcome": "anonymized", "output": "s3://output/photos/a/2024-05-06/17.jpg",
        "size_bytes": 5, "width": MAX_SIDE, "height": 1, "detections": [detection], "seconds": 0.0,
    });
    let read = |body: &[u8]| PhotoResult::decode(body);
    assert!(read(good.to_string().as_bytes()).is_ok());
    for score in [json!(0), json!(1), json!(1e-300)] {
        let one = serde_json::from_slice(&with(detection.clone(), "score", score)).unwrap();
        let decoded = read(&with(good.clone(), "detections", Value::Array(vec![one])));
        assert!(decoded.is_ok(), "{decoded:?}");
    }
    let odd_detection = |name: &str, value: Value| {
        let one = serde_json::from_slice(&with(detection.clone(), name, value)).unwrap();
        with(good.clone(), "detections", Value::Array(vec![one]))
    };
    for body in [
        odd_detection("score", json!(1e300)),
        odd_detection("score", json!(1.001)),
        odd_detection("score", json!(-0.1)),
        odd_detection("score", Value::Null),
        odd_detection("x", json!(MAX_SIDE + 1)),
        odd_detection("height", json!(u32::MAX)),
        odd_detection("class", json!("")),
        odd_detection("class", json!("x".repeat(65))),
        with(good.clone(), "seconds", json!(-1.0)),
        with(good.clone(), "width", json!(0)),
        with(good.clone(), "height", json!(MAX_SIDE + 1)),
        with(good.clone(), "size_bytes", json!(u64::MAX)),
    ] {
        let decoded = read(&body);
        assert!(matches!(decoded, Err(ResultError::NotAResult(_))), "{decoded:?}");
    }
}

/// The code in the database and on the wire are one.
#[test]
fn names_are_one() {
    for reason in [
        FailureReason::CorruptImage,
        FailureReason::UnsupportedFormat,
        FailureReason::TooLarge,
        FailureReason::ProcessingError,
        FailureReason::ProcessCrashed,
        FailureReason::OriginalMissing,
        FailureReason::MalformedMessage,
        FailureReason::DeliveryLimit,
    ] {
        assert_eq!(json!(reason), reason.code());
    }
}

fn detection() -> impl Strategy<Value = Detection> {
    (
        "[a-z]{1,64}",
        0.0_f32..=1.0,
        [0..=MAX_SIDE, 0..=MAX_SIDE, 0..=MAX_SIDE, 0..=MAX_SIDE],
    )
        .prop_map(|(class, score, [x, y, width, height])| Detection {
            class,
            score,
            x,
            y,
            width,
            height,
        })
}

proptest! {
    #[test]
    fn a_result_is_read_again(id in 1..=i64::MAX, detections in prop::option::of(prop::collection::vec(detection(), 0..50)), seconds in prop::option::of(0.0..1e6), sizes in (0..=i64::MAX as u64, 1..=MAX_SIDE, 1..=MAX_SIDE)) {
        let result = PhotoResult::new(PhotoId::try_from(id).unwrap(), Verdict::Anonymized {
            output: "s3://output/photos/a/2024-05-06/17.jpg".parse().unwrap(),
            size_bytes: sizes.0,
            width: sizes.1,
            height: sizes.2,
            detections,
            seconds,
        });
        prop_assert_eq!(PhotoResult::decode(&result.encode().unwrap()), Ok(result));
    }

    #[test]
    fn a_job_is_read_again(id in 1..=i64::MAX, name in any::<String>()) {
        let mut job: Job = serde_json::from_value(ours()).unwrap();
        job.id = PhotoId::try_from(id).unwrap();
        job.name = name;
        prop_assert_eq!(JobMessage::decode(&job.encode().unwrap()), Ok(JobMessage::Versioned(job)));
    }

    #[test]
    fn any_bytes_are_read_without_harm(body in any::<Vec<u8>>()) {
        let _ = JobMessage::decode(&body);
        let _ = PhotoResult::decode(&body);
    }
}

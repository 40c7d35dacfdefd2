//! The child process by itself.

use std::{ffi::OsString, fs::Permissions, os::unix::fs::PermissionsExt as _, time::Duration};

use anonymizer::child::{
    ChildExit, ChildProgram,
    protocol::{Reply, Request},
};
use contract::{FailureReason, media::MediaType};

use crate::harness::astronaut;

const GIB: u64 = 1 << 30;

fn child(time_limit: Duration) -> ChildProgram {
    let library = std::env::var_os("ORT_DYLIB_PATH").expect("ORT_DYLIB_PATH: run `make test`");
    ChildProgram {
        program: env!("CARGO_BIN_EXE_anonymizer").into(),
        environment: vec![("ORT_DYLIB_PATH".into(), library)],
        time_limit,
    }
}

const fn request(photo: &[u8], memory_bytes: u64) -> Request {
    Request {
        photo: 1,
        memory_bytes,
        cpu_seconds: 60,
        length: photo.len() as u64,
    }
}

#[tokio::test]
async fn photo_comes_back_anonymised() {
    let photo = astronaut();
    let child = child(Duration::from_secs(60));
    let ended = child.run(&request(&photo, GIB), &photo).await.unwrap();
    let ChildExit::Replied(
        Reply::Anonymized {
            width,
            height,
            detections,
            stages,
            ..
        },
        jpeg,
    ) = ended
    else {
        panic!("{ended:?}");
    };
    assert_eq!((width, height), (512, 512));
    assert!(!detections.is_empty());
    assert!(
        stages
            .iter()
            .any(|(stage, seconds)| stage == "detect" && *seconds > 0.0)
    );
    assert_eq!(MediaType::sniff(&jpeg), Some(MediaType::Jpeg));
}

#[tokio::test]
async fn bad_photo_is_a_verdict_not_a_death() {
    let photo = b"not a photo at all";
    let child = child(Duration::from_secs(60));
    let ended = child.run(&request(photo, GIB), photo).await.unwrap();
    assert!(
        matches!(
            ended,
            ChildExit::Replied(
                Reply::Refused {
                    reason: FailureReason::UnsupportedFormat,
                    ..
                },
                _
            )
        ),
        "{ended:?}"
    );
}

/// Memory is limited, whatever becomes of the photo: it does not come out, and
/// nobody else suffers.
#[tokio::test]
async fn memory_is_limited() {
    let photo = astronaut();
    let child = child(Duration::from_secs(60));
    let ended = child.run(&request(&photo, 24 << 20), &photo).await.unwrap();
    assert!(
        matches!(
            ended,
            ChildExit::Crashed(_)
                | ChildExit::Replied(Reply::NotReady { .. }, _)
                | ChildExit::Replied(
                    Reply::Refused {
                        reason: FailureReason::ProcessingError,
                        ..
                    },
                    _
                )
        ),
        "{ended:?}"
    );
}

#[tokio::test]
async fn detector_that_cannot_be_loaded_is_no_verdict() {
    let photo = astronaut();
    let mut child = child(Duration::from_secs(60));
    child.environment = vec![("ORT_DYLIB_PATH".into(), "/nowhere.so".into())];
    let ended = child.run(&request(&photo, GIB), &photo).await.unwrap();
    assert!(
        matches!(ended, ChildExit::Replied(Reply::NotReady { .. }, _)),
        "{ended:?}"
    );
}

#[tokio::test]
async fn child_that_takes_too_long_has_died() {
    let photo = astronaut();
    let child = child(Duration::from_millis(20));
    let ended = child.run(&request(&photo, GIB), &photo).await.unwrap();
    assert!(
        matches!(&ended, ChildExit::Crashed(how) if how.contains("took longer")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn program_that_says_nothing_has_died() {
    let photo = astronaut();
    for (program, how) in [
        ("/bin/true", "sent an incomplete reply"),
        ("/bin/false", "exit code 1"),
    ] {
        let mut child = child(Duration::from_secs(60));
        child.program = program.into();
        let ended = child.run(&request(&photo, GIB), &photo).await.unwrap();
        assert!(
            matches!(&ended, ChildExit::Crashed(why) if why == how),
            "{ended:?}"
        );
    }
}

/// As the kernel does when memory runs out, and a person in a hurry.
#[tokio::test]
async fn program_that_is_killed_has_not_died_of_its_photo() {
    let photo = astronaut();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    for (signal, expected) in [("KILL", true), ("TERM", true), ("XCPU", false), ("SEGV", false)] {
        std::fs::write(&program, format!("#!/bin/sh\nkill -{signal} $$\n")).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let mut child = child(Duration::from_secs(60));
        child.program = program.clone();
        let ended = child.run(&request(&photo, GIB), &photo).await.unwrap();
        assert_eq!(
            matches!(ended, ChildExit::Killed(_)),
            expected,
            "{signal}: {ended:?}"
        );
    }
}

/// The limit on CPU time must not look like a kill from outside.
#[tokio::test]
async fn child_that_takes_too_much_cpu_time_has_died() {
    let photo = astronaut();
    let child = child(Duration::from_secs(60));
    let request = Request {
        cpu_seconds: 0,
        ..request(&photo, GIB)
    };
    let ended = child.run(&request, &photo).await.unwrap();
    assert!(
        matches!(&ended, ChildExit::Crashed(how) if how.contains("signal 24")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn program_that_is_not_there_is_an_error() {
    let mut child = child(Duration::from_secs(60));
    child.program = "/nowhere/anonymizer".into();
    assert!(child.run(&request(b"", GIB), b"").await.is_err());
}

/// What has ended a process before must not learn how to reach anything.
#[test]
fn child_gets_no_credentials() {
    let library: OsString = "/lib.so".into();
    let environment = std::collections::BTreeMap::from(
        [
            ("ORT_DYLIB_PATH", "/lib.so"),
            ("OBJECT_STORE_SECRET_ACCESS_KEY", "secret"),
            ("OBJECT_STORE_ACCESS_KEY_ID", "key"),
            ("RABBITMQ_PASSWORD", "secret"),
            ("RABBITMQ_PASSWORD_FILE", "/secret"),
            ("ANYTHING", "else"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let given = anonymizer::settings::child_environment(&environment);
    assert_eq!(given, [("ORT_DYLIB_PATH".into(), library)]);
}

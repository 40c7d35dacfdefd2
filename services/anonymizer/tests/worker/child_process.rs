//! The child process without a worker.

use std::{ffi::OsString, fs::Permissions, os::unix::fs::PermissionsExt as _, time::Duration};

use anonymizer::child::{
    ChildExit, ChildProgram,
    protocol::{Reply, Request},
};
use contract::{FailureReason, media::MediaType};

use crate::harness::{TIMEOUT, astronaut};

const GIB: u64 = 1 << 30;

fn child_with_limit(time_limit: Duration) -> ChildProgram {
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
async fn child_returns_an_anonymised_photo() {
    let photo = astronaut();
    let child = child_with_limit(TIMEOUT);
    let exit = child.run(&request(&photo, GIB), &photo).await.unwrap();
    let ChildExit::Replied(Reply::Anonymized { summary, .. }, jpeg) = exit else {
        panic!("{exit:?}");
    };
    assert_eq!((summary.width, summary.height), (512, 512));
    assert!(!summary.detections.is_empty());
    assert!(
        summary
            .stages
            .iter()
            .any(|(stage, seconds)| stage == "detect" && *seconds > 0.0)
    );
    assert_eq!(MediaType::sniff(&jpeg), Some(MediaType::Jpeg));
}

#[tokio::test]
async fn invalid_photo_is_refused_without_a_crash() {
    let photo = b"not a photo at all";
    let child = child_with_limit(TIMEOUT);
    let exit = child.run(&request(photo, GIB), photo).await.unwrap();
    assert!(
        matches!(
            exit,
            ChildExit::Replied(
                Reply::Refused {
                    reason: FailureReason::UnsupportedFormat,
                    ..
                },
                _
            )
        ),
        "{exit:?}"
    );
}

/// The child may fail in several ways, but never returns a photo.
#[tokio::test]
async fn child_cannot_exceed_its_memory_limit() {
    let photo = astronaut();
    let child = child_with_limit(TIMEOUT);
    let exit = child.run(&request(&photo, 24 << 20), &photo).await.unwrap();
    assert!(
        matches!(
            exit,
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
        "{exit:?}"
    );
}

#[tokio::test]
async fn detector_that_cannot_be_loaded_does_not_fail_the_photo() {
    let photo = astronaut();
    let mut child = child_with_limit(TIMEOUT);
    child.environment = vec![("ORT_DYLIB_PATH".into(), "/nowhere.so".into())];
    let exit = child.run(&request(&photo, GIB), &photo).await.unwrap();
    assert!(
        matches!(exit, ChildExit::Replied(Reply::NotReady { .. }, _)),
        "{exit:?}"
    );
}

#[tokio::test]
async fn child_that_takes_too_long_counts_as_crashed() {
    let photo = astronaut();
    let child = child_with_limit(Duration::from_millis(20));
    let exit = child.run(&request(&photo, GIB), &photo).await.unwrap();
    assert!(
        matches!(&exit, ChildExit::Crashed(cause) if cause.contains("took longer")),
        "{exit:?}"
    );
}

#[tokio::test]
async fn program_without_a_reply_counts_as_crashed() {
    let photo = astronaut();
    for (program, cause) in [
        ("/bin/true", "sent an incomplete reply"),
        ("/bin/false", "exit code 1"),
    ] {
        let mut child = child_with_limit(TIMEOUT);
        child.program = program.into();
        let exit = child.run(&request(&photo, GIB), &photo).await.unwrap();
        assert!(
            matches!(&exit, ChildExit::Crashed(actual) if actual == cause),
            "{exit:?}"
        );
    }
}

/// The kernel sends SIGKILL when memory runs out; a person may send SIGTERM.
#[tokio::test]
async fn program_killed_from_outside_does_not_count_as_crashed() {
    let photo = astronaut();
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    for (signal, is_from_outside) in [("KILL", true), ("TERM", true), ("XCPU", false), ("SEGV", false)] {
        std::fs::write(&program, format!("#!/bin/sh\nkill -{signal} $$\n")).unwrap();
        std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        let mut child = child_with_limit(TIMEOUT);
        child.program = program.clone();
        let exit = child.run(&request(&photo, GIB), &photo).await.unwrap();
        assert_eq!(
            matches!(exit, ChildExit::Killed(_)),
            is_from_outside,
            "{signal}: {exit:?}"
        );
    }
}

/// The limit on CPU time must not look like a kill from outside.
#[tokio::test]
async fn child_that_takes_too_much_cpu_time_counts_as_crashed() {
    let photo = astronaut();
    let child = child_with_limit(TIMEOUT);
    let request = Request {
        cpu_seconds: 0,
        ..request(&photo, GIB)
    };
    let exit = child.run(&request, &photo).await.unwrap();
    assert!(
        matches!(&exit, ChildExit::Crashed(cause) if cause.contains("signal 24")),
        "{exit:?}"
    );
}

#[tokio::test]
async fn missing_program_is_an_error() {
    let mut child = child_with_limit(TIMEOUT);
    child.program = "/nowhere/anonymizer".into();
    assert!(child.run(&request(b"", GIB), b"").await.is_err());
}

/// A photo that crashed a worker must not get access to any server.
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
    let child_environment = anonymizer::settings::child_environment(&environment);
    assert_eq!(child_environment, [("ORT_DYLIB_PATH".into(), library)]);
}

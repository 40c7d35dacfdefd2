//! Invalid photos and invalid messages.

use contract::headers::{MAX_MESSAGE_BYTES, X_PARKED_REASON};

use crate::harness::{Harness, TestPhoto, astronaut};

/// Each kind of invalid photo fails, and its original stays.
#[tokio::test(flavor = "multi_thread")]
async fn invalid_photos_fail_and_their_originals_stay() {
    let png = astronaut();
    let mut corrupt = png.clone();
    for byte in &mut corrupt[5000..6000] {
        *byte ^= 0x5a;
    }
    let invalid = [
        ("0 bytes", Vec::new(), "corrupt-image"),
        ("text", b"not a photo at all".to_vec(), "unsupported-format"),
        ("truncated", png[..png.len() / 2].to_vec(), "corrupt-image"),
        ("corrupt", corrupt, "corrupt-image"),
        ("bomb", png_header(50_000, 50_000), "too-large"),
    ];
    let harness = Harness::started().await;
    for (id, (description, bytes, reason)) in (1..).zip(invalid) {
        let photo = harness.submit(id, bytes.clone()).await;
        assert_eq!(harness.next_failure(photo.id).await, reason, "{description}");
        assert_eq!(
            harness.read_object(&photo.original).await.as_deref(),
            Ok(&bytes[..]),
            "{description}"
        );
        assert!(!harness.object_exists(&photo.output).await, "{description}");
    }
    let photo = harness.submit(100, astronaut()).await;
    assert_eq!(harness.next_result().await.id, photo.id);
    harness.wait_until_drained().await;
    harness.assert_anonymized(&photo).await;
}

/// A PNG header of this size, with almost no data.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend(width.to_be_bytes());
    png.extend(height.to_be_bytes());
    png.extend([8, 2, 0, 0, 0]);
    let crc = crc32(&png[12..]);
    png.extend(crc.to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    png
}

/// PNG's checksum (W3C PNG, annex D).
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 * (crc & 1))
        })
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn photo_with_too_many_bytes_is_refused() {
    let mut harness = Harness::with_environment(|environment| {
        environment.insert("MAX_UPLOAD_BYTES".into(), "100KiB".into());
    })
    .await;
    harness.start_worker().await;
    let photo = harness.submit(1, astronaut()).await;
    assert_eq!(harness.next_failure(photo.id).await, "too-large");
    assert!(harness.object_exists(&photo.original).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_message_fails_its_photo() {
    let harness = Harness::started().await;
    let photo = harness.new_photo(17, contract::media::MediaType::Png);
    harness
        .publish_job(br#"{"version":1,"id":17,"name":"a.jpg"}"#)
        .await;
    assert_eq!(harness.next_failure(photo.id).await, "malformed-message");
}

/// A forged message can neither overwrite nor delete objects of another photo.
#[tokio::test(flavor = "multi_thread")]
async fn forged_message_changes_no_object() {
    let harness = Harness::started().await;
    let victim = harness.new_photo(1, contract::media::MediaType::Png);
    harness.store_original(&victim, astronaut()).await;
    let attacker = harness.new_photo(2, contract::media::MediaType::Png);
    let forged = [
        (
            "other photo's original",
            TestPhoto {
                original: victim.original.clone(),
                ..attacker.clone()
            },
        ),
        (
            "other photo's output",
            TestPhoto {
                output: victim.output.clone(),
                ..attacker.clone()
            },
        ),
        (
            "output among the originals",
            TestPhoto {
                output: victim.original.clone(),
                ..attacker.clone()
            },
        ),
    ];
    for (description, forged) in forged {
        let mut job = forged.job.clone();
        job.uri = forged.original;
        job.output = forged.output;
        harness.publish_job(job.encode().unwrap()).await;
        assert_eq!(
            harness.next_failure(attacker.id).await,
            "malformed-message",
            "{description}"
        );
    }
    harness.wait_until_drained().await;
    assert_eq!(harness.read_object(&victim.original).await.unwrap(), astronaut());
    assert!(!harness.object_exists(&victim.output).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_name_no_photo_are_parked_unchanged() {
    let harness = Harness::started().await;
    let bodies = [
        (b"not json".to_vec(), "not a job message"),
        (br#"{"version":7,"id":17}"#.to_vec(), "unknown version 7"),
        (vec![b' '; MAX_MESSAGE_BYTES + 1], "more than"),
        (Vec::new(), "not a job message"),
    ];
    for (body, reason) in bodies {
        harness.publish_job(body.clone()).await;
        let parked = harness.take_message(&harness.queues.parked).await;
        assert_eq!(parked.body, body);
        let actual = parked.header_text(X_PARKED_REASON).expect("reason");
        assert!(actual.contains(reason), "{actual}");
    }
    harness.assert_no_result().await;
}

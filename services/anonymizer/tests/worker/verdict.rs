//! Photos and messages that cannot be worked on.

use contract::headers::{MAX_MESSAGE_BYTES, X_PARKED_REASON};

use crate::harness::{Photo, Site, astronaut};

/// Each kind of bad photo is a verdict, and the original stays.
#[tokio::test(flavor = "multi_thread")]
async fn bad_photos_fail_and_stay() {
    let png = astronaut();
    let mut corrupt = png.clone();
    for byte in &mut corrupt[5000..6000] {
        *byte ^= 0x5a;
    }
    let bad = [
        ("0 bytes", Vec::new(), "corrupt-image"),
        ("text", b"not a photo at all".to_vec(), "unsupported-format"),
        ("truncated", png[..png.len() / 2].to_vec(), "corrupt-image"),
        ("corrupt", corrupt, "corrupt-image"),
        ("bomb", png_header(50_000, 50_000), "too-large"),
    ];
    let mut site = Site::new().await;
    site.start().await;
    for (id, (what, bytes, reason)) in (1..).zip(bad) {
        let photo = site.post(id, bytes.clone()).await;
        assert_eq!(site.failure(photo.id).await, reason, "{what}");
        assert_eq!(
            site.read(&photo.original).await.as_deref(),
            Ok(&bytes[..]),
            "{what}"
        );
        assert!(!site.is_there(&photo.output).await, "{what}");
    }
    let photo = site.post(100, astronaut()).await;
    assert_eq!(site.result().await.id, photo.id);
    site.drained().await;
    site.assert_anonymized(&photo).await;
}

/// The beginning of a PNG of this size, and hardly anything behind it.
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
async fn photo_of_too_many_bytes_is_not_read() {
    let mut site = Site::with(|environment| {
        environment.insert("MAX_UPLOAD_BYTES".into(), "100KiB".into());
    })
    .await;
    site.start().await;
    let photo = site.post(1, astronaut()).await;
    assert_eq!(site.failure(photo.id).await, "too-large");
    assert!(site.is_there(&photo.original).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_message_of_a_photo_is_a_verdict_on_it() {
    let mut site = Site::new().await;
    site.start().await;
    let photo = site.photo(17, contract::media::MediaType::Png);
    site.queue(br#"{"version":1,"id":17,"name":"a.jpg"}"#).await;
    assert_eq!(site.failure(photo.id).await, "malformed-message");
}

/// A forged message can neither overwrite nor delete what is not its photo's.
#[tokio::test(flavor = "multi_thread")]
async fn forged_message_touches_nothing() {
    let mut site = Site::new().await;
    site.start().await;
    let victim = site.photo(1, contract::media::MediaType::Png);
    site.store_original(&victim, astronaut()).await;
    let own = site.photo(2, contract::media::MediaType::Png);
    let forged = [
        (
            "other photo's original",
            Photo {
                original: victim.original.clone(),
                ..own.clone()
            },
        ),
        (
            "other photo's output",
            Photo {
                output: victim.output.clone(),
                ..own.clone()
            },
        ),
        (
            "output among the originals",
            Photo {
                output: victim.original.clone(),
                ..own.clone()
            },
        ),
    ];
    for (what, forged) in forged {
        let mut job = forged.job.clone();
        job.uri = forged.original;
        job.output = forged.output;
        site.queue(job.encode().unwrap()).await;
        assert_eq!(site.failure(own.id).await, "malformed-message", "{what}");
    }
    site.drained().await;
    assert_eq!(site.read(&victim.original).await.unwrap(), astronaut());
    assert!(!site.is_there(&victim.output).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_no_photo_are_parked_as_they_are() {
    let mut site = Site::new().await;
    site.start().await;
    let bodies = [
        (b"not json".to_vec(), "not a job message"),
        (br#"{"version":7,"id":17}"#.to_vec(), "unknown version 7"),
        (vec![b' '; MAX_MESSAGE_BYTES + 1], "more than"),
        (Vec::new(), "not a job message"),
    ];
    for (body, reason) in bodies {
        site.queue(body.clone()).await;
        let parked = site.take(&site.queues.parked).await;
        assert_eq!(parked.body, body);
        let why = parked.header_text(X_PARKED_REASON).expect("reason");
        assert!(why.contains(reason), "{why}");
    }
    site.no_result().await;
}

//! Accepted uploads are stored exactly once.

use std::time::Duration;

use contract::{ObjectLocation, PhotoResult, Verdict};
use irmgard::{
    database::Database,
    results::{VerdictEffect, apply_verdicts},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use super::{
    fixture::{Answer, WebFixture, raw_upload_head},
    test_images::{jpeg, jpeg_taken_at, png},
};

const PHOTOS: &str = "/projects/site-1/photos";
const PHOTOS_AT_NOON: &str = "/projects/site-1/photos?taken_at=2024-05-31T12:00:00%2B02:00";
/// More than two parts.
const MANY_PARTS: usize = 20_000_001;

/// Expects that the stored object and row match the photo.
async fn expect_stored(web: &WebFixture, answer: &Answer, photo: &[u8]) {
    let row = answer.json();
    let (bucket, key) = row["storage_location"].as_str().unwrap().split_once('/').unwrap();
    let stored = web.object(bucket, key).await.expect("the original");
    assert!(
        stored == photo,
        "{} bytes stored, {} sent",
        stored.len(),
        photo.len()
    );
    assert_eq!(row["size_bytes"], photo.len());
    assert_eq!(row["sha256"], hex::encode(Sha256::digest(photo)));
}

#[tokio::test]
async fn a_photo_as_the_body_is_kept_and_has_an_address() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 300_000, 1);
    let answer = web.post(PHOTOS, photo.clone()).await;
    assert_eq!(answer.status, 202);
    expect_stored(&web, &answer, &photo).await;
    let accepted = answer.json();
    assert_eq!(
        answer.header("location"),
        Some(format!("/photos/{}", accepted["id"]).as_str())
    );
    for (field, value) in [
        ("project", json!("site-1")),
        ("status", json!("received")),
        ("media_type", json!("image/jpeg")),
        ("width", json!(640)),
        ("height", json!(480)),
        ("taken_at_source", json!("received")),
    ] {
        assert_eq!(accepted[field], value, "{field}");
    }
    let location = answer.header("location").unwrap();
    let read = web.get(location).await;
    assert_eq!((read.status, read.json()), (200, accepted));
    assert_eq!(web.count("outbox").await, 1);
    // The relay was woken: a notification is pending.
    timeout(Duration::from_secs(5), web.relay.notified())
        .await
        .unwrap();
}

#[tokio::test]
async fn bodies_of_every_size_and_kind_arrive_whole() {
    let web = WebFixture::start().await;
    let part = web.settings.upload.part_bytes;
    for (seed, size) in [64, 8192, 100_000, part - 1, part, part + 1, 2 * part, MANY_PARTS]
        .into_iter()
        .enumerate()
    {
        let photo = jpeg(4000, 3000, size, seed as u8);
        expect_stored(&web, &web.post(PHOTOS, photo.clone()).await, &photo).await;
        expect_stored(&web, &web.post_chunked(PHOTOS, photo.clone()).await, &photo).await;
        expect_stored(&web, &web.post_form(PHOTOS, photo.clone(), "a.jpg").await, &photo).await;
    }
    assert_eq!(web.originals().await.len() as i64, web.count("photo").await);
}

#[tokio::test]
async fn the_format_comes_from_the_content_not_from_the_name() {
    let web = WebFixture::start().await;
    let astronaut = std::fs::read(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../local/photos/astronaut.png"
    ))
    .unwrap();
    for (photo, media_type, extension) in [
        (png(30, 20), "image/png", ".png"),
        (astronaut, "image/png", ".png"),
    ] {
        let answer = web.post_form(PHOTOS, photo, "picture.jpg").await.json();
        assert_eq!(answer["media_type"], media_type);
        assert_eq!(answer["name"], "picture.jpg");
        assert!(answer["storage_location"].as_str().unwrap().ends_with(extension));
    }
}

#[tokio::test]
async fn the_time_comes_from_the_request_then_from_exif_then_from_the_clock() {
    let web = WebFixture::start().await;
    let time = |answer: &Answer| {
        (
            answer.json()["taken_at"].clone(),
            answer.json()["taken_at_source"].clone(),
        )
    };
    let expected = |time: &str, source: &str| (Value::from(time), Value::from(source));
    let photo = jpeg_taken_at("2023:06:01 08:30:00", Some("+02:00"), 1);

    assert_eq!(
        time(&web.post(PHOTOS, photo.clone()).await),
        expected("2023-06-01T06:30:00Z", "exif")
    );
    assert_eq!(
        time(&web.post(PHOTOS_AT_NOON, photo.clone()).await),
        expected("2024-05-31T10:00:00Z", "client")
    );
    // An unescaped `+`, which means a space in a query string.
    let head = format!("Content-Length: {}\r\n", photo.len());
    let head = raw_upload_head(&format!("{PHOTOS}?taken_at=2024-05-31T12:00:02+02:00"), &head);
    assert_eq!(
        time(&web.raw(&[head, photo.clone()].concat()).await),
        expected("2024-05-31T10:00:02Z", "client")
    );
    let utc = jpeg_taken_at("2023:06:01 08:30:00", None, 2);
    assert_eq!(
        time(&web.post_chunked(PHOTOS, utc).await),
        expected("2023-06-01T08:30:00Z", "exif")
    );
    let nonsense = jpeg_taken_at("0000:00:00 00:00:00", None, 3);
    assert_eq!(time(&web.post(PHOTOS, nonsense).await).1, "received");

    // In a form, the field may come before or after the photo.
    for before in [true, false] {
        let image =
            reqwest::multipart::Part::bytes(jpeg_taken_at("2023:06:01 08:30:00", None, 4 + u8::from(before)));
        let form = reqwest::multipart::Form::new();
        let form = if before {
            form.text("taken_at", "2022-01-01T00:00:00.123456789Z")
                .part("image", image)
        } else {
            form.part("image", image)
                .text("taken_at", "2022-01-01T00:00:00.123456789Z")
        };
        let answer = web.post_fields(PHOTOS, form).await;
        assert_eq!(time(&answer), expected("2022-01-01T00:00:00.123456Z", "client"));
        assert_eq!(
            web.get(&format!("/photos/{}", answer.id())).await.json()["taken_at"],
            answer.json()["taken_at"]
        );
    }
}

#[tokio::test]
async fn the_same_photo_of_the_same_time_is_kept_once() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    assert_eq!(first.status, 202);
    let again = web.post_form(PHOTOS_AT_NOON, photo.clone(), "other.jpg").await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    assert_eq!(again.header("location"), first.header("location"));
    web.wait_for_originals(1).await;
    assert_eq!((web.count("photo").await, web.count("outbox").await), (1, 1));

    // Another time, another project, or no time makes another photo.
    for other in [
        "/projects/site-1/photos?taken_at=2024-05-31T12:00:01Z",
        "/projects/site-2/photos?taken_at=2024-05-31T12:00:00%2B02:00",
        PHOTOS,
        PHOTOS,
    ] {
        let answer = web.post(other, photo.clone()).await;
        assert_eq!(answer.status, 202);
        assert_ne!(answer.id(), first.id());
    }
    web.wait_for_originals(5).await;
}

#[tokio::test]
async fn simultaneous_uploads_of_one_photo_are_stored_once() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let answers = futures::future::join_all((0..12).map(|_| web.post(PHOTOS_AT_NOON, photo.clone()))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 1);
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    web.wait_for_originals(1).await;
    assert_eq!(web.count("outbox").await, 1);
}

#[tokio::test]
async fn a_failed_photo_that_is_sent_again_is_worked_on_again() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    web.execute(
        "DELETE FROM outbox; UPDATE photo SET status = 'failed', failure_reason = 'processing-error', \
         failure_detail = 'x', finished_at = now()",
    )
    .await;
    let again = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    assert_eq!((again.status, again.id()), (202, first.id()));
    let row = again.json();
    assert_eq!(
        (&row["status"], &row["failure_reason"]),
        (&"received".into(), &Value::Null)
    );
    assert_eq!(web.count("outbox").await, 1);
    web.wait_for_originals(1).await;
    expect_stored(&web, &again, &photo).await;
}

#[tokio::test]
async fn a_failed_photo_that_has_lost_its_original_is_a_new_one_when_it_is_sent_again() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let mut lost = web.post(PHOTOS_AT_NOON, photo.clone()).await.id();
    for (original, neighbour) in [("original", false), ("original", true), ("NULL", false)] {
        let (bucket, key) = (
            &web.settings.store.input_bucket,
            web.originals().await.pop().unwrap(),
        );
        let object = ObjectLocation::new(bucket, &key).unwrap();
        web.store.delete(&object).await.unwrap();
        // Another object whose key begins with that of the original.
        let beside = ObjectLocation::new(bucket, format!("{key}.part")).unwrap();
        if neighbour {
            web.put(bucket, beside.key(), photo.clone()).await;
        }
        set_failed(&web, lost).await;
        if original == "NULL" {
            web.execute("UPDATE photo SET original = NULL WHERE status = 'failed'")
                .await;
        }
        let again = web.post(PHOTOS_AT_NOON, photo.clone()).await;
        assert_eq!((again.status, &again.json()["status"]), (202, &"received".into()));
        assert_ne!(again.id(), lost);
        web.store.delete(&beside).await.unwrap();
        web.wait_for_originals(1).await;
        expect_stored(&web, &again, &photo).await;
        assert_eq!(web.count("outbox").await, 1);

        let before = web.get(&format!("/photos/{lost}")).await.json();
        assert_eq!(before["status"], "failed");
        assert_eq!(before.get("storage_location"), None);
        let known = web.post(PHOTOS_AT_NOON, photo.clone()).await;
        assert_eq!((known.status, known.id()), (200, again.id()));
        web.wait_for_originals(1).await;
        lost = again.id();
    }
}

#[tokio::test]
async fn simultaneous_uploads_of_a_photo_without_original_are_stored_once() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await.id();
    let key = web.originals().await.pop().unwrap();
    let object = ObjectLocation::new(&web.settings.store.input_bucket, key).unwrap();
    web.store.delete(&object).await.unwrap();
    set_failed(&web, first).await;
    let answers = futures::future::join_all((0..12).map(|_| web.post(PHOTOS_AT_NOON, photo.clone()))).await;
    let accepted = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(accepted, 1);
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    assert_ne!(answers[0].id(), first);
    web.wait_for_originals(1).await;
    assert_eq!((web.count("photo").await, web.count("outbox").await), (2, 1));
}

/// The verdict may come late, when the image already belongs to another photo.
#[tokio::test]
async fn a_photo_that_has_lost_its_original_can_still_be_anonymised() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    let (_, key) = first.json()["storage_location"]
        .as_str()
        .and_then(|location| location.split_once('/'))
        .map(|(bucket, key)| (bucket.to_owned(), key.to_owned()))
        .unwrap();
    let input = ObjectLocation::new(&web.settings.store.input_bucket, &key).unwrap();
    web.store.delete(&input).await.unwrap();
    set_failed(&web, first.id()).await;
    let second = web.post(PHOTOS_AT_NOON, photo).await;
    assert_ne!(second.id(), first.id());

    let output = &web.settings.store.output_bucket;
    let verdict = Verdict::Anonymized {
        output: ObjectLocation::new(output, key).unwrap(),
        size_bytes: 1234,
        width: 640,
        height: 480,
        detections: None,
        seconds: None,
    };
    let result = PhotoResult::new(first.id().try_into().unwrap(), verdict);
    let database = Database::connect_lazily(&web.settings.database);
    let answers = apply_verdicts(database.background(), output, &[result])
        .await
        .unwrap();
    assert_eq!(answers[0].effect, VerdictEffect::Changed);
    let now = web.get(&format!("/photos/{}", first.id())).await.json();
    assert_eq!(now["status"], "anonymized");
}

/// Without an answer of the store, neither the photo nor its original is given up.
#[tokio::test]
async fn a_failed_photo_whose_original_cannot_be_checked_stays_unchanged() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await.id();
    set_failed(&web, first).await;
    web.execute("UPDATE photo SET original = replace(original, '-input/', '-inputs/')")
        .await;
    let answer = web.post(PHOTOS_AT_NOON, photo).await;
    assert_eq!(answer.status, 503, "{}", answer.text());
    web.wait_for_originals(1).await;
    assert_eq!(
        web.get(&format!("/photos/{first}")).await.json()["status"],
        "failed"
    );
    assert_eq!(web.count("photo").await, 1);
}

/// Leaves the photo as a `failed` verdict does.
async fn set_failed(web: &WebFixture, id: i64) {
    sqlx::query(
        "WITH job AS (DELETE FROM outbox WHERE photo_id = $1)
         UPDATE photo SET status = 'failed', failure_reason = 'original-missing', failure_detail = 'x',
                          finished_at = now()
          WHERE id = $1",
    )
    .bind(id)
    .execute(&web.pool)
    .await
    .unwrap();
}

#[tokio::test]
async fn an_anonymised_photo_that_is_sent_again_stays_unchanged() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    web.execute("DELETE FROM outbox; UPDATE photo SET status = 'anonymized', output = 's3://output/x'")
        .await;
    let again = web.post(PHOTOS_AT_NOON, photo).await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    assert_eq!(again.json()["status"], "anonymized");
    web.wait_for_originals(1).await;
    assert_eq!(web.count("outbox").await, 0);
}

async fn with_key(web: &WebFixture, path: &str, key: &str, photo: Vec<u8>) -> Answer {
    let request = web
        .http
        .post(web.url(path))
        .header("Idempotency-Key", key)
        .body(photo);
    Answer::from_response(request.send().await.unwrap()).await
}

#[tokio::test]
async fn an_idempotency_key_answers_the_first_for_the_same_bytes_only() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = with_key(&web, PHOTOS, "k-1", photo.clone()).await;
    assert_eq!(first.status, 202);
    let again = with_key(&web, PHOTOS, "\"k-1\"", photo.clone()).await;
    assert_eq!((again.status, again.id()), (200, first.id()));
    with_key(&web, PHOTOS, "k-1", jpeg(640, 480, 40_000, 2))
        .await
        .expect_problem(422, "idempotency-key-reused");
    let elsewhere = with_key(&web, "/projects/site-2/photos", "k-1", photo.clone()).await;
    assert_eq!(elsewhere.status, 202);
    let other = with_key(&web, PHOTOS, "k-2", photo).await;
    assert_eq!(other.status, 202);
    assert_ne!(other.id(), first.id());
    web.wait_for_originals(3).await;
    assert_eq!(web.count("photo").await, 3);
}

#[tokio::test]
async fn a_key_is_stored_for_a_photo_that_was_uploaded_without_one() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let first = web.post(PHOTOS_AT_NOON, photo.clone()).await;
    assert_eq!(with_key(&web, PHOTOS_AT_NOON, "k", photo).await.id(), first.id());
    with_key(&web, PHOTOS, "k", jpeg(64, 48, 900, 2))
        .await
        .expect_problem(422, "idempotency-key-reused");
    web.wait_for_originals(1).await;
}

#[tokio::test]
async fn simultaneous_uploads_with_one_key_are_stored_once() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 40_000, 1);
    let answers =
        futures::future::join_all((0..12).map(|_| with_key(&web, PHOTOS, "k", photo.clone()))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 202).count(), 1);
    assert!(answers.iter().all(|answer| answer.id() == answers[0].id()));
    web.wait_for_originals(1).await;

    let other: Vec<_> = (0..6).map(|seed| jpeg(640, 480, 40_000, 10 + seed)).collect();
    let answers =
        futures::future::join_all(other.into_iter().map(|photo| with_key(&web, PHOTOS, "l", photo))).await;
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(
        statuses.iter().filter(|status| **status == 202).count(),
        1,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 422).count(),
        5,
        "{statuses:?}"
    );
    web.wait_for_originals(2).await;
}

#[tokio::test]
async fn a_malformed_key_is_refused() {
    let web = WebFixture::start().await;
    for key in ["", "\"\"", "a\"b", &"k".repeat(256)] {
        let answer = with_key(&web, PHOTOS, key, jpeg(64, 48, 900, 1)).await;
        answer.expect_problem(400, "invalid-idempotency-key");
    }
    web.expect_nothing_left().await;
}

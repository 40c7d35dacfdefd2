//! The API of the legacy web service, row by row of docs/compatibility.md.

use super::{fixture::WebFixture, test_images::jpeg};

#[tokio::test]
async fn a_posted_image_is_answered_with_its_name_and_place() {
    let web = WebFixture::start().await;
    let photo = jpeg(640, 480, 30_000, 1);
    let answer = web.post_form("/", photo.clone(), "site.jpg").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let location = answer
        .text()
        .strip_prefix("Success: site.jpg ")
        .unwrap_or_else(|| panic!("{}", answer.text()));
    let (bucket, key) = location.split_once('/').unwrap();
    assert_eq!(bucket, web.settings.store.input_bucket);
    assert!(
        key.starts_with("photos/default/") && key.ends_with(".jpg"),
        "{key}"
    );
    assert_eq!(web.object(bucket, key).await.unwrap(), photo);
}

#[tokio::test]
async fn the_list_is_a_json_array_in_order_of_id_with_the_given_fields() {
    let web = WebFixture::start().await;
    let empty = web.get("/").await;
    assert_eq!((empty.status, empty.text()), (200, "[]"));
    assert_eq!(empty.header("content-type"), Some("application/json"));

    for (seed, name) in [(1, "b.jpg"), (2, "a.jpg"), (3, "c.jpg")] {
        web.post_form("/", jpeg(64, 48, 900, seed), name).await;
    }
    let list = web.get("/").await.json();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].clone())
        .collect();
    assert_eq!(names, ["b.jpg", "a.jpg", "c.jpg"]);
    let ids: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["id"].as_i64().unwrap())
        .collect();
    assert!(ids.is_sorted());
    for image in list.as_array().unwrap() {
        assert!(
            image["storage_location"]
                .as_str()
                .unwrap()
                .contains("/photos/default/")
        );
        assert_eq!(
            (&image["project"], &image["status"]),
            (&"default".into(), &"received".into())
        );
    }
}

#[tokio::test]
async fn two_cameras_with_the_same_file_name_do_not_overwrite_each_other() {
    let web = WebFixture::start().await;
    for seed in [1, 2] {
        assert_eq!(
            web.post_form("/", jpeg(64, 48, 900, seed), "image.jpg")
                .await
                .status,
            200
        );
    }
    assert_eq!(web.originals().await.len(), 2);
}

#[tokio::test]
async fn a_list_of_any_length_is_whole() {
    let web = WebFixture::start().await;
    web.execute(
        "INSERT INTO photo (project, name, taken_at, taken_at_source, media_type, size_bytes, width, height, sha256, original)
         SELECT 'p', 'n' || i, now(), 'received', 'image/jpeg', 1, 1, 1, sha256(i::text::bytea), 's3://input/photos/p/2024-01-01/' || i || '.jpg'
         FROM generate_series(1, 1500) i",
    )
    .await;
    let list = web.get("/").await.json();
    let names: Vec<_> = list
        .as_array()
        .unwrap()
        .iter()
        .map(|image| image["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, (1..=1500).map(|i| format!("n{i}")).collect::<Vec<_>>());

    // A whole number of pages ends as well.
    web.execute("DELETE FROM photo WHERE id > 1000").await;
    assert_eq!(web.get("/").await.json().as_array().unwrap().len(), 1000);
}

#[tokio::test]
async fn errors_are_problems_with_their_own_status() {
    let web = WebFixture::start().await;
    let form = reqwest::multipart::Form::new().text("picture", "x");
    web.post_fields("/", form)
        .await
        .expect_problem(400, "image-missing");
    web.post("/", jpeg(64, 48, 900, 1))
        .await
        .expect_problem(415, "form-expected");
    web.post_form("/", b"plain text, but long enough".to_vec(), "a.jpg")
        .await
        .expect_problem(415, "unsupported-format");
    web.expect_nothing_left().await;
}

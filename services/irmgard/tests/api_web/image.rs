//! The image endpoint serves the anonymised photo and never the original.

use super::{
    fixture::{Answer, WebFixture},
    test_images::jpeg,
};

const ANONYMISED: &[u8] = b"\xFF\xD8 nobody to be seen \xFF\xD9";

/// Uploads a photo; returns its id and the key of its output.
async fn photo(web: &WebFixture) -> (i64, String) {
    let answer = web.post("/projects/site-1/photos", jpeg(64, 48, 9000, 1)).await;
    let location = answer.json()["storage_location"].as_str().unwrap().to_owned();
    (answer.id(), location.split_once('/').unwrap().1.to_owned())
}

async fn set_anonymized(web: &WebFixture, output: &str) {
    sqlx::query("UPDATE photo SET status = 'anonymized', output = $1")
        .bind(output)
        .execute(&web.pool)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_available_image_is_served_with_its_etag() {
    let web = WebFixture::start().await;
    let (id, key) = photo(&web).await;
    let bucket = web.settings.store.output_bucket.clone();
    web.put(&bucket, &key, ANONYMISED.to_vec()).await;
    set_anonymized(&web, &format!("s3://{bucket}/{key}")).await;

    let path = format!("/photos/{id}/image");
    let image = web.get(&path).await;
    assert_eq!((image.status, image.body.as_slice()), (200, ANONYMISED));
    assert_eq!(image.header("content-type"), Some("image/jpeg"));
    assert_eq!(
        image.header("content-length"),
        Some(ANONYMISED.len().to_string().as_str())
    );
    assert_eq!(image.header("x-content-type-options"), Some("nosniff"));
    assert!(image.header("cache-control").unwrap().contains("private"));
    let etag = image.header("etag").unwrap().to_owned();

    for (known, status) in [
        (etag.clone(), 304),
        (format!("\"other\", W/{etag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let request = web.http.get(web.url(&path)).header("If-None-Match", known);
        let answer = Answer::from_response(request.send().await.unwrap()).await;
        assert_eq!(
            (answer.status, answer.header("etag")),
            (status, Some(etag.as_str()))
        );
    }
    let head = web.http.head(web.url(&path)).send().await.unwrap();
    assert_eq!(
        head.headers()["content-length"],
        ANONYMISED.len().to_string().as_str()
    );
}

#[tokio::test]
async fn an_unavailable_image_is_409_with_the_status() {
    let web = WebFixture::start().await;
    let (id, _) = photo(&web).await;
    for (sql, status) in [
        ("SELECT 1", "received"),
        ("UPDATE photo SET status = 'queued'", "queued"),
        (
            "UPDATE photo SET status = 'failed', failure_reason = 'corrupt-image'",
            "failed",
        ),
    ] {
        web.execute(sql).await;
        let answer = web.get(&format!("/photos/{id}/image")).await;
        answer.expect_problem(409, "photo-not-ready");
        assert_eq!(answer.json()["photo_status"], status);
    }
    web.get("/photos/4711/image")
        .await
        .expect_problem(404, "photo-unknown");
}

#[tokio::test]
async fn no_row_makes_the_api_serve_an_original() {
    let web = WebFixture::start().await;
    let (id, key) = photo(&web).await;
    let (input, output) = (
        &web.settings.store.input_bucket,
        &web.settings.store.output_bucket,
    );
    let other = key.replace(&format!("/{id}.jpg"), &format!("/{}.jpg", id + 1));
    web.put(output, &other, ANONYMISED.to_vec()).await;
    web.put(output, "x.jpg", ANONYMISED.to_vec()).await;
    // These keys hold the photo's id, but are not its own location.
    let foreign = key.replace("/site-1/", "/site-2/");
    let day = key.split('/').nth(2).unwrap();
    let other_day = key.replace(day, "2020-02-02");
    for key in [&foreign, &other_day] {
        web.put(output, key, ANONYMISED.to_vec()).await;
    }
    for location in [
        format!("s3://{output}/{foreign}"),
        format!("s3://{output}/{other_day}"),
        format!("s3://{input}/{key}"),
        format!("s3://{output}/{other}"),
        format!("s3://{output}/x.jpg"),
        format!("s3://{output}/../{input}/{key}"),
        format!("{input}/{key}"),
        String::new(),
    ] {
        set_anonymized(&web, &location).await;
        web.get(&format!("/photos/{id}/image"))
            .await
            .expect_problem(500, "internal");
    }
    for path in [
        format!("/{input}/{key}"),
        format!("/photos/{id}/image/../original"),
        format!("/photos/{id}/original"),
    ] {
        assert_eq!(web.get(&path).await.status, 404);
    }
}

#[tokio::test]
async fn a_missing_image_is_410() {
    let web = WebFixture::start().await;
    let (id, key) = photo(&web).await;
    set_anonymized(&web, &format!("s3://{}/{key}", web.settings.store.output_bucket)).await;
    web.get(&format!("/photos/{id}/image"))
        .await
        .expect_problem(410, "image-gone");
}

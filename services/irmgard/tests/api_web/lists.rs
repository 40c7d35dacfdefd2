//! Pagination of photos and projects.

use super::fixture::{WebFixture, log};

async fn filled() -> WebFixture {
    let web = WebFixture::start().await;
    web.execute(
        "INSERT INTO photo (project, name, status, taken_at, taken_at_source, media_type, size_bytes, width, height, \
           sha256, original, output, failure_reason, detections)
         SELECT 'site-' || i % 3, 'n' || i, CASE WHEN i % 2 = 0 THEN 'anonymized' ELSE 'failed' END, now(), 'received', \
           'image/jpeg', 1, 1, 1, sha256(i::text::bytea), 's3://input/photos/p/2024-01-01/' || i || '.jpg', 's3://output/x', \
           'corrupt-image', '[{\"class\":\"person\",\"score\":0.5,\"x\":1,\"y\":2,\"width\":3,\"height\":4}]'
         FROM generate_series(1, 100) i",
    )
    .await;
    web
}

async fn all(web: &WebFixture, first: &str) -> Vec<i64> {
    let (mut ids, mut next) = (Vec::new(), Some(first.to_owned()));
    while let Some(page) = next {
        let page = web.get(&page).await.json();
        let photos = page["photos"].as_array().unwrap();
        assert!(!photos.is_empty() || ids.is_empty(), "an empty last page");
        ids.extend(photos.iter().map(|photo| photo["id"].as_i64().unwrap()));
        next = page["next"].as_str().map(str::to_owned);
    }
    ids
}

#[tokio::test]
async fn pages_are_newest_first_and_whole() {
    let web = filled().await;
    let mut expected: Vec<i64> = (1..=100).filter(|i| i % 3 == 1).collect();
    expected.reverse();
    for limit in [1, 7, 34, 500] {
        assert_eq!(
            all(&web, &format!("/projects/site-1/photos?limit={limit}")).await,
            expected
        );
    }
    let failed: Vec<i64> = expected.iter().copied().filter(|i| i % 2 == 1).collect();
    assert_eq!(
        all(&web, "/projects/site-1/photos?status=failed&limit=5").await,
        failed
    );
    assert_eq!(all(&web, "/projects/none/photos").await, Vec::<i64>::new());
}

#[tokio::test]
async fn a_photo_shows_its_detections_and_its_failure() {
    let web = filled().await;
    let failed = web.get("/photos/1").await.json();
    assert_eq!(
        (&failed["status"], &failed["failure_reason"]),
        (&"failed".into(), &"corrupt-image".into())
    );
    assert!(failed.get("image").is_none());
    let done = web.get("/photos/2").await.json();
    assert_eq!(done["image"], "/photos/2/image");
    assert_eq!(done["detections"][0]["class"], "person");
    assert_eq!(done["detections"][0]["height"], 4);
    assert!(done.get("output").is_none() && done.get("original").is_none());
    for unknown in ["101", "0", "-1", "x", "9223372036854775808", "1e3", "%31%00"] {
        web.get(&format!("/photos/{unknown}"))
            .await
            .expect_problem(404, "photo-unknown");
    }
}

/// An earlier version stored such values.
#[tokio::test]
async fn an_unreadable_detection_hides_nothing_else() {
    let web = filled().await;
    web.execute(
        r#"UPDATE photo SET detections = detections || '[{"class":"face","score":null,"x":1,"y":2,"width":3,"height":4}]'
            WHERE id = 4;
           UPDATE photo SET detections = '{"odd":true}' WHERE id = 7"#,
    )
    .await;
    let photo = web.get("/photos/4").await;
    assert_eq!(photo.status, 200);
    let detections = photo.json()["detections"].clone();
    assert_eq!(detections.as_array().unwrap().len(), 1);
    assert_eq!(detections[0]["class"], "person");
    assert!(web.get("/photos/7").await.json().get("detections").is_none());
    assert_eq!(all(&web, "/projects/site-1/photos?limit=500").await.len(), 34);
    let lines = log().lines("cannot be read and are left out");
    assert!(
        !lines.is_empty() && lines.iter().all(|line| line["photo"]["id"] == 4),
        "{lines:?}"
    );
}

#[tokio::test]
async fn projects_come_by_name() {
    let web = filled().await;
    let projects = web.get("/projects").await.json();
    let names: Vec<_> = projects["projects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["site-0", "site-1", "site-2"]);
    assert_eq!(projects["projects"][1]["newest_photo"], 100);
    assert!(projects.get("next").is_none());
    let page = web.get("/projects?limit=2").await.json();
    let rest = web.get(page["next"].as_str().unwrap()).await.json();
    assert_eq!(rest["projects"][0]["name"], "site-2");
    assert!(rest.get("next").is_none());
}

#[tokio::test]
async fn unknown_addresses_and_methods_are_problems() {
    let web = WebFixture::start().await;
    web.get("/nothing").await.expect_problem(404, "not-found");
    let delete = web.http.delete(web.url("/photos/1")).send().await.unwrap();
    let delete = super::fixture::Answer::from_response(delete).await;
    delete.expect_problem(405, "method-not-allowed");
    assert!(delete.header("allow").unwrap().contains("GET"));
}

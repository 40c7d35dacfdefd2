//! Authorisation by tokens.

use irmgard::api::Tokens;
use sha2::{Digest, Sha256};

use super::{
    fixture::{Answer, WebFixture, log},
    test_images::jpeg,
};

pub fn tokens() -> Tokens {
    let line = |name: &str, rest: &str| {
        format!(
            "{name}:{}:{rest}\n",
            hex::encode(Sha256::digest(format!("{name}-token")))
        )
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    let lines = [
        line("camera", "upload"),
        line("office", "read"),
        line("camera-1", "upload,read:site-1"),
    ];
    std::fs::write(file.path(), lines.concat()).unwrap();
    Tokens::from_file(file.path()).unwrap()
}

async fn web() -> WebFixture {
    WebFixture::start_with(|overrides| *overrides.tokens = tokens()).await
}

async fn get(web: &WebFixture, name: &str, path: &str) -> Answer {
    let request = web.http.get(web.url(path)).bearer_auth(format!("{name}-token"));
    Answer::from_response(request.send().await.unwrap()).await
}

async fn post(web: &WebFixture, name: &str, path: &str, seed: u8) -> Answer {
    let request = web.http.post(web.url(path)).bearer_auth(format!("{name}-token"));
    Answer::from_response(request.body(jpeg(64, 48, 900, seed)).send().await.unwrap()).await
}

#[tokio::test]
async fn without_a_token_nothing_is_answered_but_the_openapi_json() {
    let web = web().await;
    for path in [
        "/",
        "/projects",
        "/projects/site-1/photos",
        "/photos/1",
        "/photos/1/image",
    ] {
        let answer = web.get(path).await;
        answer.expect_problem(401, "unauthenticated");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        get(&web, "nobody", path)
            .await
            .expect_problem(401, "unauthenticated");
    }
    for path in ["/", "/projects/site-1/photos"] {
        web.post_form(path, jpeg(64, 48, 900, 1), "a.jpg")
            .await
            .expect_problem(401, "unauthenticated");
    }
    assert_eq!(web.get("/openapi.json").await.status, 200);
    web.expect_nothing_left().await;
}

#[tokio::test]
async fn a_token_is_good_for_its_scope() {
    let web = web().await;
    let photo = post(&web, "camera", "/projects/site-1/photos", 1).await;
    assert_eq!(
        (photo.status, &photo.json()["uploaded_by"]),
        (202, &"camera".into())
    );
    let address = photo.header("location").unwrap().to_owned();
    get(&web, "camera", &address)
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(
        get(&web, "office", &address).await.json()["uploaded_by"],
        "camera"
    );
    post(&web, "office", "/projects/site-1/photos", 2)
        .await
        .expect_problem(403, "forbidden");
    assert_eq!(web.count("photo").await, 1);

    let trace = photo.json()["trace_id"].as_str().unwrap().to_owned();
    let lines = log().lines(&trace);
    assert!(
        lines.iter().any(|line| line["token"]["name"] == "camera"),
        "{lines:?}"
    );
}

#[tokio::test]
async fn a_token_of_one_project_sees_no_other() {
    let web = web().await;
    let other = post(&web, "camera", "/projects/site-2/photos", 1).await.id();
    let own = post(&web, "camera-1", "/projects/site-1/photos", 2).await.id();
    post(&web, "camera-1", "/projects/site-2/photos", 3)
        .await
        .expect_problem(403, "forbidden");
    get(&web, "camera-1", "/projects/site-2/photos")
        .await
        .expect_problem(403, "forbidden");
    get(&web, "camera-1", &format!("/photos/{other}"))
        .await
        .expect_problem(404, "photo-unknown");
    get(&web, "camera-1", &format!("/photos/{other}/image"))
        .await
        .expect_problem(404, "photo-unknown");
    assert_eq!(get(&web, "camera-1", &format!("/photos/{own}")).await.status, 200);

    let projects = get(&web, "camera-1", "/projects").await.json();
    assert_eq!(projects["projects"].as_array().unwrap().len(), 1);
    assert_eq!(projects["projects"][0]["name"], "site-1");
    let list = get(&web, "camera-1", "/").await.json();
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(get(&web, "office", "/").await.json().as_array().unwrap().len(), 2);

    // Photos that arrive at the legacy address go to the token's project.
    let form = reqwest::multipart::Part::bytes(jpeg(64, 48, 900, 4));
    let form = reqwest::multipart::Form::new().part("image", form);
    let request = web
        .http
        .post(web.url("/"))
        .bearer_auth("camera-1-token")
        .multipart(form);
    let answer = Answer::from_response(request.send().await.unwrap()).await;
    assert!(answer.text().contains("/photos/site-1/"), "{}", answer.text());
}

#[tokio::test]
async fn the_same_key_of_two_tokens_is_two_keys() {
    let web = web().await;
    let send = async |name: &str, seed| {
        let request = web
            .http
            .post(web.url("/projects/site-1/photos"))
            .bearer_auth(format!("{name}-token"));
        let request = request
            .header("Idempotency-Key", "k")
            .body(jpeg(64, 48, 900, seed));
        Answer::from_response(request.send().await.unwrap()).await
    };
    assert_eq!(send("camera", 1).await.status, 202);
    assert_eq!(send("camera-1", 2).await.status, 202);
    send("camera", 2)
        .await
        .expect_problem(422, "idempotency-key-reused");
}

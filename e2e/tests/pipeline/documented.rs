//! The walk-through of docs/operations.md, on a system that has used numbers up already.

use std::{process::Command, time::Duration};

use e2e::pipeline::{PATIENCE, Pipeline, Setup, references};
use local::proxy::Behaviour;

/// The commands that send a photo and fetch its image: between the port-forward and what shows lines.
fn commands() -> String {
    let page = include_str!("../../../docs/operations.md");
    let (_, section) = page.split_once("## Show that it works\n").unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let shown: Vec<&str> = lines
        .skip_while(|line| !line.starts_with("token()"))
        .skip(1)
        .take_while(|line| !line.starts_with("cargo"))
        .collect();
    assert!(
        shown.iter().any(|line| line.contains("--data-binary")),
        "{shown:?}"
    );
    shown.join("\n")
}

/// An upload that fails uses its number up: the first photo that is taken is not photo 1.
#[tokio::test(flavor = "multi_thread")]
async fn the_walk_through_fetches_the_photo_that_it_sent() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    pipeline.proxies.object_store.behave(Behaviour::Refuse).await;
    let refused = camera.post(&camera.shoot(bases)).await;
    assert_eq!(refused.status, Some(503), "{refused:?}");
    pipeline.proxies.object_store.restore().await;

    let folder = tempfile::tempdir().unwrap();
    let commands = commands()
        .replace("http://127.0.0.1:8080", &camera.address())
        .replace("@local/", concat!("@", env!("CARGO_MANIFEST_DIR"), "/../local/"));
    let script = format!("set -euo pipefail\ntoken() {{ echo any; }}\n{commands}\necho \"$id\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .env("no_proxy", "127.0.0.1")
        .current_dir(folder.path());
    let output = tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(move || bash.output()))
        .await
        .expect("the commands end")
        .unwrap()
        .unwrap();
    assert!(output.status.success(), "{output:?}\n{}", pipeline.tails());
    let id: i64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(
        id > 1,
        "the failed upload has used no number up: this test shows nothing"
    );
    let image = std::fs::read(folder.path().join("photo.jpg")).unwrap();
    assert!(
        image.starts_with(&[0xff, 0xd8]),
        "{} bytes are no JPEG",
        image.len()
    );
    pipeline.settled(Duration::from_secs(1)).await.unwrap();
}

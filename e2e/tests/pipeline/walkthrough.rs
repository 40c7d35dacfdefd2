//! Runs the walk-through of docs/operations.md, which README.md repeats, on a system whose first photo does not have id 1.

use std::{process::Command, time::Duration};

use e2e::pipeline::{Pipeline, Setup, TIME_LIMIT, references};
use test_support::Behaviour;

/// The commands of a page's section that upload a photo and get its image.
fn documented_commands(page: &str, heading: &str) -> String {
    let (_, section) = page.split_once(heading).unwrap();
    let lines = section.lines().filter_map(|line| line.strip_prefix("    "));
    let commands: Vec<&str> = lines
        .skip_while(|line| !line.starts_with("token()"))
        .skip(1)
        .take_while(|line| !line.starts_with("cargo"))
        .collect();
    assert!(
        commands.iter().any(|line| line.contains("--data-binary")),
        "{commands:?}"
    );
    commands.join("\n")
}

/// A failed upload uses an id, so the first accepted photo is not photo 1.
#[tokio::test(flavor = "multi_thread")]
async fn the_walkthrough_gets_the_image_of_its_own_photo() {
    let pipeline = Pipeline::start(Setup::default()).await.unwrap();
    let (bases, _) = references().await.unwrap();
    let camera = pipeline.camera();
    pipeline.proxies.object_store.behave(Behaviour::Refuse).await;
    let refused = camera.post(&camera.shoot(bases)).await;
    assert_eq!(refused.status, Some(503), "{refused:?}");
    pipeline.proxies.object_store.restore().await;

    let folder = tempfile::tempdir().unwrap();
    let commands = documented_commands(
        include_str!("../../../docs/operations.md"),
        "\n## Show that it works\n",
    );
    let readme = documented_commands(
        include_str!("../../../README.md"),
        "\n## Install it on Kubernetes\n",
    );
    assert_eq!(commands, readme);
    let commands = commands
        .replace("http://127.0.0.1:8080", &camera.address())
        .replace("@local/", concat!("@", env!("CARGO_MANIFEST_DIR"), "/../local/"));
    let script = format!("set -euo pipefail\ntoken() {{ echo any; }}\n{commands}\necho \"$id\"");
    let mut bash = Command::new("bash");
    bash.args(["-c", &script])
        .env("no_proxy", "127.0.0.1")
        .current_dir(folder.path());
    let output = tokio::time::timeout(TIME_LIMIT, tokio::task::spawn_blocking(move || bash.output()))
        .await
        .expect("the commands did not end in time")
        .unwrap()
        .unwrap();
    assert!(
        output.status.success(),
        "{output:?}\n{}",
        pipeline.recent_warnings()
    );
    let id: i64 = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(
        id > 1,
        "the failed upload has used no id, so this test proves nothing"
    );
    let image = std::fs::read(folder.path().join("photo.jpg")).unwrap();
    assert!(
        image.starts_with(&[0xff, 0xd8]),
        "{} bytes are not a JPEG",
        image.len()
    );
    pipeline.wait_until_idle(Duration::from_secs(1)).await.unwrap();
}

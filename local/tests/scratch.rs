//! Tests of the isolated resources inside one running stack.

use local::scratch;

#[tokio::test]
async fn two_scratches_share_nothing() {
    let one = scratch().await.unwrap();
    let two = scratch().await.unwrap();
    assert_ne!(one.postgres.database, two.postgres.database);
    assert_ne!(one.object_store.input_bucket, two.object_store.input_bucket);
    assert_ne!(
        (&one.rabbitmq.vhost, &one.queue),
        (&two.rabbitmq.vhost, &two.queue)
    );
    let environment = one.environment();
    for name in [
        "POSTGRES_DATABASE",
        "RABBITMQ_VHOST",
        "RABBITMQ_QUEUE",
        "OBJECT_STORE_INPUT_BUCKET",
    ] {
        assert!(environment.contains_key(name), "{name}");
    }
}

/// Runs the test above without a stack.
#[test]
fn without_a_stack_the_error_says_how_to_start_one() {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "two_scratches_share_nothing", "--nocapture"])
        .env_remove("POSTGRES_HOST")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        text.contains("make test") && text.contains("cargo run -p local -- exec -- cargo test"),
        "{text}"
    );
}

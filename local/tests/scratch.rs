//! A test's own place inside one running stack.

use local::scratch;

#[tokio::test]
async fn two_scratch_places_share_nothing() {
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

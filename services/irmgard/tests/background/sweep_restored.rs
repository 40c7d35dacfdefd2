//! The sweep with a database that does not belong to its bucket, or no longer does.

use contract::{ObjectLocation, PhotoKey, media::MediaType};

use crate::{
    fixture::{Fixture, stderr, stdout},
    sweep::{delete, draw_id, find, marker_location, put},
};

/// Every original would look like a leftover, including the last copies of failed photos.
#[tokio::test]
async fn another_database_deletes_nothing() {
    let (own, other) = (Fixture::new().await, Fixture::new().await);
    let store = own.store();
    for _ in 0..3 {
        let id = own.insert_failed(contract::FailureReason::CorruptImage).await;
        put(&own, &own.original(id.get())).await;
    }
    // The bucket is not bound yet: the rows show the contradiction.
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(
        refusal.contains("has id 3, above the database's last id 1"),
        "{refusal}"
    );
    sqlx::query("SELECT setval('photo_id_seq', 1000000)")
        .execute(other.pool())
        .await
        .unwrap();
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(refusal.contains("3 originals without a row"), "{refusal}");
    assert_eq!(delete(&own, &store).await, Ok(vec![]));

    // Now the bucket names its own database, and many rows in the other one do not help.
    for id in 4..20 {
        other.insert_received_with_id(id).await;
    }
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(refusal.contains("belongs to another database"), "{refusal}");
    assert_eq!(own.bucket_size(&store).await, 4);

    // The same database with another bucket, which holds none of its objects.
    let refusal = delete(&own, &other.store()).await.unwrap_err();
    assert!(refusal.contains("is missing: check"), "{refusal}");
}

/// The marker names this database, but it is a copy, or was restored and has fewer rows.
#[tokio::test]
async fn a_database_that_has_lost_rows_deletes_nothing() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut ids = Vec::new();
    for _ in 0..8 {
        let id = fixture.insert_failed(contract::FailureReason::CorruptImage).await;
        put(&fixture, &fixture.original(id.get())).await;
        ids.push(id.get());
    }
    assert_eq!(delete(&fixture, &store).await, Ok(vec![]));
    let copies = fixture.bucket_size(&store).await;

    // As before the last five uploads; then ids are given out again.
    for sql in [
        "DELETE FROM photo WHERE id > 3",
        "SELECT setval('photo_id_seq', 3)",
    ] {
        sqlx::query(sql).execute(fixture.pool()).await.unwrap();
    }
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(
        refusal.contains("has id 8, above the database's last id 3"),
        "{refusal}"
    );
    for _ in 0..5 {
        let id = fixture.insert_received().await;
        fixture
            .execute(
                "UPDATE photo SET original = replace(original, '2026-01-02', '2026-01-03') WHERE id = $1",
                id,
            )
            .await;
    }
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(refusal.contains("names another object"), "{refusal}");

    // A manual repair, as once documented.
    for sql in [
        "DELETE FROM photo WHERE id > 3",
        "SELECT setval('photo_id_seq', 1000000)",
    ] {
        sqlx::query(sql).execute(fixture.pool()).await.unwrap();
    }
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(refusal.contains("5 originals without a row"), "{refusal}");
    // One lost photo among many: its anonymised image shows it.
    for id in 4..8 {
        fixture.insert_received_with_id(id).await;
    }
    put(&fixture, &fixture.output(8)).await;
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(refusal.contains("the anonymised photo"), "{refusal}");
    assert_eq!(fixture.bucket_size(&store).await, copies);

    let dry_run = stdout(&fixture.run_irmgard(&["sweep", "--older-than", "0s"]).await);
    assert!(
        dry_run.contains("--delete would delete nothing: the anonymised photo"),
        "{dry_run}"
    );
}

/// Repeated uploads use up ids, and the sequence may skip some. Then no id shows the loss, and enough rows
/// surround the originals without a row.
#[tokio::test]
async fn a_restored_database_that_has_grown_again_deletes_nothing() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let failed = async |count: usize| {
        for _ in 0..count {
            let id = fixture.insert_failed(contract::FailureReason::CorruptImage).await;
            put(&fixture, &fixture.original(id.get())).await;
        }
    };
    failed(4).await;
    assert_eq!(delete(&fixture, &store).await, Ok(vec![]));
    failed(4).await;
    // A dry run also raises the watermark.
    let dry_run = fixture.run_irmgard(&["sweep", "--older-than", "0s"]).await;
    assert!(dry_run.status.success(), "{}", stderr(&dry_run));
    let lost: Vec<_> = (6..=8).map(|id| fixture.original(id)).collect();

    for sql in [
        "DELETE FROM photo WHERE id > 5",
        "SELECT setval('photo_id_seq', 5 + 32)",
    ] {
        sqlx::query(sql).execute(fixture.pool()).await.unwrap();
    }
    failed(20).await;
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(
        refusal.contains("rows are missing: 5 of 8 photos up to id 8 remain")
            && refusal.contains("`irmgard bind --restored`"),
        "{refusal}"
    );
    let refused = fixture.run_irmgard(&["bind"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    assert!(
        stderr(&refused).contains("rows are missing: 5 of 8 photos"),
        "{}",
        stderr(&refused)
    );

    let bound = fixture.run_irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    let orphan = fixture.original(draw_id(&fixture).await);
    put(&fixture, &orphan).await;
    assert_eq!(delete(&fixture, &store).await, Ok(vec![orphan.to_string()]));
    for original in &lost {
        assert!(store.exists(original).await.unwrap(), "{original}");
    }
}

#[tokio::test]
async fn a_missing_or_unreadable_marker_prevents_deletion() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let known = fixture.insert_received().await;
    put(&fixture, &fixture.original(known.get())).await;
    assert_eq!(delete(&fixture, &store).await, Ok(vec![]));
    let orphan = fixture.original(draw_id(&fixture).await);
    put(&fixture, &orphan).await;

    store.delete(&marker_location(&fixture)).await.unwrap();
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(refusal.contains("is missing"), "{refusal}");
    let large = vec![b' '; 5000];
    for (bytes, expected) in [
        (&b""[..], "cannot be read"),
        (b"not JSON", "cannot be read"),
        (b"{\"version\":1}", "cannot be read"),
        (b"{\"version\":2,\"database\":\"x\"}", "has version 2"),
        (
            b"{\"version\":1,\"database\":\"\"}",
            "belongs to another database",
        ),
        (&large, "cannot be read"),
    ] {
        store
            .put(&marker_location(&fixture), bytes.to_vec(), "application/json")
            .await
            .unwrap();
        let refusal = delete(&fixture, &store).await.unwrap_err();
        assert!(refusal.contains(expected), "{refusal}");
    }
    // The marker held the number of photos. Without it, originals without a row are kept.
    let refused = fixture.run_irmgard(&["bind"]).await;
    assert!(!refused.status.success(), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--restored"), "{}", stderr(&refused));
    let bound = fixture.run_irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    assert_eq!(delete(&fixture, &store).await, Ok(vec![]));
    assert!(store.exists(&orphan).await.unwrap());
}

#[tokio::test]
async fn binding_a_restored_database_keeps_unknown_objects() {
    let fixture = Fixture::new().await;
    let store = fixture.store();
    let mut originals = Vec::new();
    for _ in 0..6 {
        let id = fixture.insert_failed(contract::FailureReason::CorruptImage).await;
        originals.push(fixture.original(id.get()));
        put(&fixture, &fixture.original(id.get())).await;
    }
    put(&fixture, &fixture.output(9)).await;
    for sql in [
        "DELETE FROM photo WHERE id > 2",
        "SELECT setval('photo_id_seq', 2)",
    ] {
        sqlx::query(sql).execute(fixture.pool()).await.unwrap();
    }
    let refused = fixture.run_irmgard(&["bind"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    assert!(
        stderr(&refused).contains("bind --restored"),
        "{}",
        stderr(&refused)
    );

    let bound = fixture.run_irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    assert!(
        stdout(&bound).contains("New photos have ids above 9"),
        "{}",
        stdout(&bound)
    );
    let mut found: Vec<_> = find(&fixture, &store)
        .await
        .findings
        .into_iter()
        .map(|finding| finding.location)
        .collect();
    found.sort();
    let mut lost: Vec<_> = originals[2..].iter().map(ToString::to_string).collect();
    lost.push(fixture.output(9).to_string());
    lost.sort();
    assert_eq!(found, lost);
    assert_eq!(delete(&fixture, &store).await, Ok(vec![]));

    // New photos are complete in the database.
    let new = fixture.insert_received().await;
    assert_eq!(new.get(), 10);
    let orphan = fixture.original(draw_id(&fixture).await);
    for location in [&fixture.original(new.get()), &orphan] {
        put(&fixture, location).await;
    }
    assert_eq!(delete(&fixture, &store).await, Ok(vec![orphan.to_string()]));
    assert_eq!(fixture.bucket_size(&store).await, 6 + 1 + 1);

    // The database from before the restore counts as another one now.
    sqlx::query("UPDATE installation SET id = gen_random_uuid()")
        .execute(fixture.pool())
        .await
        .unwrap();
    let refusal = delete(&fixture, &store).await.unwrap_err();
    assert!(refusal.contains("belongs to another database"), "{refusal}");
}

#[tokio::test]
async fn ids_are_not_drawn_up_to_an_impossible_id() {
    let fixture = Fixture::new().await;
    let far = PhotoKey {
        id: i64::MAX.try_into().unwrap(),
        ..Fixture::key(1)
    };
    let far = ObjectLocation::new(
        &fixture.settings.store.input_bucket,
        far.original(MediaType::Jpeg),
    )
    .unwrap();
    put(&fixture, &far).await;
    let refused = fixture.run_irmgard(&["bind", "--restored"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("SELECT setval"), "{}", stderr(&refused));
    let refusal = delete(&fixture, &fixture.store()).await.unwrap_err();
    assert!(refusal.contains("above the database's last id"), "{refusal}");
}

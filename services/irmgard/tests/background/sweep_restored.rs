//! The sweep with a database that is not, or not any more, the one of its bucket.

use contract::{ObjectLocation, PhotoKey, media::MediaType};

use crate::{
    place::{Place, stderr, stdout},
    sweep::{delete, drawn, find, marker, put},
};

/// Every original would seem to be left over, the last copies of failed photos too.
#[tokio::test]
async fn another_database_deletes_nothing() {
    let (own, other) = (Place::new().await, Place::new().await);
    let store = own.store();
    for _ in 0..3 {
        let id = own.failed(contract::FailureReason::CorruptImage).await;
        put(&own, &own.original(id.get())).await;
    }
    // The bucket belongs to none yet: the rows tell.
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(refusal.contains("never given out photo 3"), "{refusal}");
    sqlx::query("SELECT setval('photo_id_seq', 1000000)")
        .execute(other.pool())
        .await
        .unwrap();
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(refusal.contains("lacks 3 photos"), "{refusal}");
    assert_eq!(delete(&own, &store).await, Ok(vec![]));

    // Now its own name is in the bucket, and many rows of the other's do not help.
    for id in 4..20 {
        other.received_as(id).await;
    }
    let refusal = delete(&other, &store).await.unwrap_err();
    assert!(refusal.contains("belongs to another database"), "{refusal}");
    assert_eq!(own.bucket_size(&store).await, 4);

    // The same database with another bucket, in which nothing of it lies.
    let refusal = delete(&own, &other.store()).await.unwrap_err();
    assert!(refusal.contains("is gone: is"), "{refusal}");
}

/// Where the marker names this database: a copy of it, or it is restored and knows less than it did.
#[tokio::test]
async fn a_database_that_has_lost_rows_deletes_nothing() {
    let place = Place::new().await;
    let store = place.store();
    let mut ids = Vec::new();
    for _ in 0..8 {
        let id = place.failed(contract::FailureReason::CorruptImage).await;
        put(&place, &place.original(id.get())).await;
        ids.push(id.get());
    }
    assert_eq!(delete(&place, &store).await, Ok(vec![]));
    let copies = place.bucket_size(&store).await;

    // As of before the last five; then ids are given out again.
    for sql in [
        "DELETE FROM photo WHERE id > 3",
        "SELECT setval('photo_id_seq', 3)",
    ] {
        sqlx::query(sql).execute(place.pool()).await.unwrap();
    }
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("never given out photo 8"), "{refusal}");
    for _ in 0..5 {
        let id = place.received().await;
        place
            .execute(
                "UPDATE photo SET original = replace(original, '2026-01-02', '2026-01-03') WHERE id = $1",
                id,
            )
            .await;
    }
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("knows another object"), "{refusal}");

    // By hand, as it was documented.
    for sql in [
        "DELETE FROM photo WHERE id > 3",
        "SELECT setval('photo_id_seq', 1000000)",
    ] {
        sqlx::query(sql).execute(place.pool()).await.unwrap();
    }
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("lacks 5 photos"), "{refusal}");
    // One photo lost among many: its anonymised picture shows it.
    for id in 4..8 {
        place.received_as(id).await;
    }
    put(&place, &place.output(8)).await;
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("which was anonymised"), "{refusal}");
    assert_eq!(place.bucket_size(&store).await, copies);

    let dry_run = stdout(&place.irmgard(&["sweep", "--older-than", "0s"]).await);
    assert!(
        dry_run.contains("--delete would delete nothing: the database has no row of"),
        "{dry_run}"
    );
}

/// Photos that are sent again use up ids, and the sequence may skip some: no id shows the loss then, and there are rows
/// enough around the originals that have lost theirs.
#[tokio::test]
async fn a_restored_database_that_has_grown_again_deletes_nothing() {
    let place = Place::new().await;
    let store = place.store();
    let failed = async |count: usize| {
        for _ in 0..count {
            let id = place.failed(contract::FailureReason::CorruptImage).await;
            put(&place, &place.original(id.get())).await;
        }
    };
    failed(4).await;
    assert_eq!(delete(&place, &store).await, Ok(vec![]));
    failed(4).await;
    // A look raises the mark, too.
    let dry_run = place.irmgard(&["sweep", "--older-than", "0s"]).await;
    assert!(dry_run.status.success(), "{}", stderr(&dry_run));
    let lost: Vec<_> = (6..=8).map(|id| place.original(id)).collect();

    for sql in [
        "DELETE FROM photo WHERE id > 5",
        "SELECT setval('photo_id_seq', 5 + 32)",
    ] {
        sqlx::query(sql).execute(place.pool()).await.unwrap();
    }
    failed(20).await;
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(
        refusal.contains("knows 5 photos up to id 8, and once knew 8")
            && refusal.contains("`irmgard bind --restored`"),
        "{refusal}"
    );
    let refused = place.irmgard(&["bind"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    assert!(stderr(&refused).contains("once knew 8"), "{}", stderr(&refused));

    let bound = place.irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    let orphan = place.original(drawn(&place).await);
    put(&place, &orphan).await;
    assert_eq!(delete(&place, &store).await, Ok(vec![orphan.to_string()]));
    for original in &lost {
        assert!(store.exists(original).await.unwrap(), "{original}");
    }
}

#[tokio::test]
async fn a_marker_that_is_gone_or_garbled_is_no_permission() {
    let place = Place::new().await;
    let store = place.store();
    let known = place.received().await;
    put(&place, &place.original(known.get())).await;
    assert_eq!(delete(&place, &store).await, Ok(vec![]));
    let orphan = place.original(drawn(&place).await);
    put(&place, &orphan).await;

    store.delete(&marker(&place)).await.unwrap();
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("is gone"), "{refusal}");
    let large = vec![b' '; 5000];
    for (bytes, said) in [
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
            .put(&marker(&place), bytes.to_vec(), "application/json")
            .await
            .unwrap();
        let refusal = delete(&place, &store).await.unwrap_err();
        assert!(refusal.contains(said), "{refusal}");
    }
    // With the marker it is lost how many photos the database had: originals without a row are kept.
    let refused = place.irmgard(&["bind"]).await;
    assert!(!refused.status.success(), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("--restored"), "{}", stderr(&refused));
    let bound = place.irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    assert_eq!(delete(&place, &store).await, Ok(vec![]));
    assert!(store.exists(&orphan).await.unwrap());
}

#[tokio::test]
async fn a_restored_database_is_bound_by_hand_and_keeps_what_it_does_not_know() {
    let place = Place::new().await;
    let store = place.store();
    let mut originals = Vec::new();
    for _ in 0..6 {
        let id = place.failed(contract::FailureReason::CorruptImage).await;
        originals.push(place.original(id.get()));
        put(&place, &place.original(id.get())).await;
    }
    put(&place, &place.output(9)).await;
    for sql in [
        "DELETE FROM photo WHERE id > 2",
        "SELECT setval('photo_id_seq', 2)",
    ] {
        sqlx::query(sql).execute(place.pool()).await.unwrap();
    }
    let refused = place.irmgard(&["bind"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", stdout(&refused));
    assert!(
        stderr(&refused).contains("bind --restored"),
        "{}",
        stderr(&refused)
    );

    let bound = place.irmgard(&["bind", "--restored"]).await;
    assert!(bound.status.success(), "{}", stderr(&bound));
    assert!(
        stdout(&bound).contains("New photos have ids above 9"),
        "{}",
        stdout(&bound)
    );
    let mut found: Vec<_> = find(&place, &store)
        .await
        .findings
        .into_iter()
        .map(|finding| finding.location)
        .collect();
    found.sort();
    let mut lost: Vec<_> = originals[2..].iter().map(ToString::to_string).collect();
    lost.push(place.output(9).to_string());
    lost.sort();
    assert_eq!(found, lost);
    assert_eq!(delete(&place, &store).await, Ok(vec![]));

    // Of what comes after, it knows everything.
    let new = place.received().await;
    assert_eq!(new.get(), 10);
    let orphan = place.original(drawn(&place).await);
    for location in [&place.original(new.get()), &orphan] {
        put(&place, location).await;
    }
    assert_eq!(delete(&place, &store).await, Ok(vec![orphan.to_string()]));
    assert_eq!(place.bucket_size(&store).await, 6 + 1 + 1);

    // The database as it was before it was restored is another one now.
    sqlx::query("UPDATE installation SET id = gen_random_uuid()")
        .execute(place.pool())
        .await
        .unwrap();
    let refusal = delete(&place, &store).await.unwrap_err();
    assert!(refusal.contains("belongs to another database"), "{refusal}");
}

#[tokio::test]
async fn an_id_that_nobody_can_have_given_out_is_not_drawn_up_to() {
    let place = Place::new().await;
    let far = PhotoKey {
        id: i64::MAX.try_into().unwrap(),
        ..Place::key(1)
    };
    let far = ObjectLocation::new(&place.settings.store.input_bucket, far.original(MediaType::Jpeg)).unwrap();
    put(&place, &far).await;
    let refused = place.irmgard(&["bind", "--restored"]).await;
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("SELECT setval"), "{}", stderr(&refused));
    let refusal = delete(&place, &place.store()).await.unwrap_err();
    assert!(refusal.contains("never given out"), "{refusal}");
}

//! Object keys and locations: what is written is read, nothing else is.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use chrono::{Days, NaiveDate};
use contract::{ObjectLocation, PhotoId, PhotoKey, ProjectName, media::MediaType};
use proptest::prelude::*;

fn key() -> impl Strategy<Value = PhotoKey> {
    ("[A-Za-z0-9][A-Za-z0-9._-]{0,63}", 0_u64..40_000, 1..=i64::MAX).prop_map(|(project, days, id)| {
        PhotoKey {
            project: project.parse().unwrap(),
            received_on: NaiveDate::from_ymd_opt(2000, 1, 1).unwrap() + Days::new(days),
            id: PhotoId::try_from(id).unwrap(),
        }
    })
}

const MEDIA_TYPES: [MediaType; 3] = [MediaType::Jpeg, MediaType::Png, MediaType::Webp];

proptest! {
    #[test]
    fn a_key_is_read_again(key in key()) {
        for media_type in MEDIA_TYPES {
            let original = key.original(media_type);
            prop_assert_eq!(PhotoKey::parse(&original), Some(key.clone()));
            let location = ObjectLocation::new("input", original).unwrap();
            prop_assert_eq!(location.to_string().parse(), Ok(location.clone()));
            prop_assert_eq!(ObjectLocation::from_storage_location(&location.storage_location()), Ok(location));
        }
        prop_assert_eq!(PhotoKey::parse(&key.anonymized()), Some(key));
    }

    #[test]
    fn what_is_parsed_is_what_was_written(text in "(photos/)?[a-z.]{0,4}/(2024-02-[0-9]{1,2}|[0-9+-]{0,11})/[0-9+]{0,20}\\.(jpg|png|webp|gif|JPG)?") {
        if let Some(key) = PhotoKey::parse(&text) {
            prop_assert!(MEDIA_TYPES.into_iter().any(|media_type| key.original(media_type) == text));
        }
    }

    /// Whoever reads the key as a path comes to the same object as who does not.
    #[test]
    fn a_key_means_the_same_as_a_path(key in "((\\.|\\.\\.|[a-z .]{0,3}|photos)/){0,4}[a-zäöü\u{202e} ./\\\\\u{0}\u{7f}\u{85}-]{0,4}") {
        let plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        let same = key.split('/').all(plain) && !key.contains(['\\', '\0', '\u{7f}', '\u{85}']);
        prop_assert_eq!(ObjectLocation::new("input", key.as_str()).is_ok(), same);
        let text = format!("input/{key}");
        let read = ObjectLocation::from_storage_location(&text);
        prop_assert_eq!(read.map(|location| location.key().to_owned()).ok(), same.then_some(key));
    }

    #[test]
    fn file_names_of_cameras_are_keys(parts in prop::collection::vec("[\\p{L}\\p{N}][\\p{L}\\p{N}\\p{S}\\p{P}\\p{M} ]{0,12}", 1..4)) {
        let key = parts.join("/").replace('\\', "_");
        let plain = key.split('/').all(|part| !matches!(part, "" | "." | ".."));
        prop_assert_eq!(ObjectLocation::new("input", key).is_ok(), plain);
    }

    #[test]
    fn any_text_is_read_without_harm(text in any::<String>()) {
        let _ = PhotoKey::parse(&text);
        let _ = text.parse::<ObjectLocation>();
        if let Ok(project) = text.parse::<ProjectName>() {
            prop_assert!(!project.as_str().starts_with('.') && !project.as_str().contains('/'));
        }
    }
}

#[test]
fn keys_that_nobody_wrote() {
    for key in [
        "",
        "photos/",
        "photos/a/2024-02-03/1",
        "photos/a/2024-02-03/1.gif",
        "photos/a/2024-02-03/1.JPG",
        "photos/a/2024-02-03/1.jpg.jpg",
        "photos/a/2024-02-03/01.jpg",
        "photos/a/2024-02-03/+1.jpg",
        "photos/a/2024-02-03/0.jpg",
        "photos/a/2024-02-03/-1.jpg",
        "photos/a/2024-02-03/9223372036854775808.jpg",
        "photos/a/2024-02-30/1.jpg",
        "photos/a/2024-2-3/1.jpg",
        "photos/../2024-02-03/1.jpg",
        "photos/a/../2024-02-03/1.jpg",
        "photos/a/2024-02-03/1.jpg/",
        "/photos/a/2024-02-03/1.jpg",
        "other/a/2024-02-03/1.jpg",
    ] {
        assert_eq!(PhotoKey::parse(key), None, "{key}");
    }
    assert!(PhotoKey::parse("photos/a/2024-02-03/1.jpg").is_some());
}

#[test]
fn locations_that_s3_does_not_take() {
    for text in [
        "s3://",
        "s3:///key",
        "s3://ab/key",
        "s3://Input/key",
        "s3://in_put/key",
        "s3://-input/key",
        "s3://input./key",
        "s3://.../key",
        "s3://in..put/key",
        "s3://input",
        "s3://input/",
        "s3://input/a\nb",
        "s3://input/a\0b",
        "s3://input/a\u{85}b",
        "s3://input/a\\b",
        "s3://input//photos/a.jpg",
        "s3://input/a//b",
        "s3://input/a/",
        "s3://input/.",
        "s3://input/./photos/a.jpg",
        "s3://input/..",
        "s3://input/../output/photos/a.jpg",
        "s3://input/x/../photos/a.jpg",
        "http://input/key",
        "input/key",
    ] {
        assert!(text.parse::<ObjectLocation>().is_err(), "{text}");
    }
    for key in [
        "cam 1/ä.jpg",
        "...",
        "..a/.b",
        "a..",
        "IMG (1) [x] 100%+#?.JPG",
        "写真/📷.jpg",
    ] {
        assert!(ObjectLocation::new("input", key).is_ok(), "{key}");
    }
    assert!(ObjectLocation::new("input", "k".repeat(1024)).is_ok());
    assert!(ObjectLocation::new("input", "k".repeat(1025)).is_err());
    assert!(ObjectLocation::new("a".repeat(64), "k").is_err());
}

//! Photos that violate their standard: a photo with all rows decodes to the pixels that djpeg gives; a photo with missing
//! rows is refused.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use contract::{
    FailureReason::CorruptImage,
    media::{orientation, taken_at},
};
use imaging::{
    AnonymizeSettings, anonymize,
    picture::{Picture, decode},
};
use moxcms::ColorProfile;
use sha2::{Digest, Sha256};
use support::{
    DETECTOR,
    photos::{LIMITS, cmyk, gradient, jpeg, png_of, profile_segments, segment, with_segments},
    root,
};

const EOI: [u8; 2] = [0xFF, 0xD9];

/// A file of `tests/photos`: small cards that reproduce public bug reports.
fn card(name: &str) -> Vec<u8> {
    std::fs::read(root().join("services/anonymizer/imaging/tests/photos").join(name)).unwrap()
}

#[track_caller]
fn assert_pixels(photo: &[u8], expected: &Picture, what: &str) {
    match decode(photo, &LIMITS) {
        Ok(picture) => assert!(picture.pixels == expected.pixels, "{what}: other pixels"),
        Err(error) => panic!("{what}: {error}"),
    }
}

#[track_caller]
fn assert_corrupt(photo: &[u8], what: &str) {
    let error = decode(photo, &LIMITS).err().map(|error| error.reason());
    assert_eq!(error, Some(CorruptImage), "{what}");
}

/// Pixels as `djpeg -ppm` of libjpeg-turbo 3.1 writes them.
#[test]
fn cards_have_the_pixels_of_djpeg() {
    for name in ["j-sos-se0.jpg", "j-junk-before-rst.jpg", "j-noEOI.jpg"] {
        let picture = decode(&card(name), &LIMITS).unwrap_or_else(|error| panic!("{name}: {error}"));
        let digest = Sha256::digest(&picture.pixels);
        let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            digest, "48c2dec9fe561b845bc734172ecb348ee8166498a6e7cdae74cec3e3ec9f4622",
            "{name}"
        );
    }
    let picture = decode(&card("p-noiend.png"), &LIMITS).unwrap();
    assert_eq!((picture.width, picture.height), (320, 240));
}

#[test]
fn cards_have_an_exif_orientation_and_time() {
    assert_eq!(orientation(&card("webp-exif-prefix-o6.webp")), 6);
    let time = |name: &str| taken_at(&card(name)).unwrap().to_rfc3339();
    assert_eq!(time("webp-exif-prefix-date.webp"), "2024-05-31T12:00:00+00:00");
    assert_eq!(time("d-off-p0200.jpg"), "2024-05-31T10:00:00+00:00");
}

#[test]
fn identifying_profiles_of_cards_do_not_reach_the_output() {
    for name in ["i-text.jpg", "i-text.webp"] {
        let out = anonymize(&card(name), &AnonymizeSettings::default(), &DETECTOR)
            .unwrap()
            .jpeg;
        let card = card(name);
        let profile = card.windows(4).position(|four| four == b"acsp").unwrap() - 36;
        let words = [
            "Jane", "Sample", "52.52", "serial", "+49", "Main St", "DEADBEEF", "ACME", "SERIAL", "desc",
            "cprt",
        ];
        let there = words
            .map(str::as_bytes)
            .into_iter()
            .filter(|word| contains(&card, word));
        assert!(there.clone().count() >= 5, "{name}");
        for word in there {
            assert!(!contains(&out, word), "{name}: {}", word.escape_ascii());
        }
        // The date, the creator and the id.
        for field in [24..36, 80..100] {
            let field = &card[profile + field.start..profile + field.end];
            assert!(!contains(&out, field), "{name}: {field:x?}");
        }
    }
}

/// T.81, B.2.3: in a sequential scan these values are redundant.
#[test]
fn sequential_scan_with_any_spectral_selection() {
    let photo = jpeg(&gradient(61, 47), |_| {});
    let expected = decode(&photo, &LIMITS).unwrap();
    let scan = position(&photo, 0xDA);
    let parameters = scan + 2 + usize::from(photo[scan + 3]) - 3;
    for changed in [
        [0, 0, 0],
        [0, 63, 0x10],
        [0, 63, 0x01],
        [0, 255, 0],
        [1, 63, 0],
        [0, 0, 0xFF],
    ] {
        let mut photo = photo.clone();
        photo[parameters..parameters + 3].copy_from_slice(&changed);
        assert_pixels(&photo, &expected, &format!("{changed:?}"));
    }
}

#[test]
fn headers_that_change_nothing() {
    let photo = jpeg(&gradient(61, 47), |_| {});
    let expected = decode(&photo, &LIMITS).unwrap();
    for revision in [[0, 0], [1, 0], [1, 3], [2, 1], [9, 99]] {
        let mut photo = photo.clone();
        let version = photo.windows(5).position(|five| five == b"JFIF\0").unwrap() + 5;
        photo[version..version + 2].copy_from_slice(&revision);
        assert_pixels(&photo, &expected, &format!("JFIF {revision:?}"));
    }
    let icc = segment(0xE2, b"ICC_PROFILE\0\x07\x03nonsense");
    assert_pixels(&with_segments(&photo, &[icc]), &expected, "a part of a profile");
    let adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\x07");
    // Without JFIF, Adobe's segment counts.
    let jfif = position(&photo, 0xE0);
    let bare = [&photo[..jfif], &photo[jfif + 18..]].concat();
    assert_pixels(
        &with_segments(&bare, &[adobe]),
        &expected,
        "an unknown colour transform",
    );
}

#[test]
fn few_stray_bytes_before_a_marker() {
    let photo = card("j-junk-before-rst.jpg");
    let expected = decode(&photo, &LIMITS).unwrap();
    let scan = position(&photo, 0xDA);
    let restarts: Vec<usize> = (scan..photo.len() - 1)
        .filter(|at| photo[*at] == 0xFF && matches!(photo[*at + 1], 0xD0..=0xD7))
        .collect();
    assert!(restarts.len() > 10);
    for count in [1, 2, 3, 7, 16, 32] {
        let end = photo.len() - 2;
        let before_end = [&photo[..end], &vec![0x55; count], &EOI].concat();
        assert_pixels(&before_end, &expected, &format!("{count} before the end"));
        for stray in [0x00, 0x55, 0xAA] {
            let mut strayed = photo.clone();
            for at in restarts.iter().rev().skip(1).step_by(2) {
                strayed.splice(*at..*at, vec![stray; count]);
            }
            assert_pixels(&strayed, &expected, &format!("{count} before restarts"));
        }
    }
    // This many bytes are image data without a place.
    let many = [&photo[..photo.len() - 2], &vec![0x55; 5000], &EOI].concat();
    assert_corrupt(&many, "5000 bytes before the end");
}

/// The header contains no image data.
#[test]
fn stray_bytes_before_the_first_scan() {
    let progressive = jpeg(&gradient(61, 47), |c| c.set_progressive(true).unwrap());
    for photo in [card("j-junk-before-rst.jpg"), progressive] {
        let expected = decode(&photo, &LIMITS).unwrap();
        for marker in [0xC4, 0xDA] {
            let at = position(&photo, marker);
            for stray in [&[0x55][..], &[0xFF, 0], &[0; 100]] {
                let strayed = [&photo[..at], stray, &photo[at..]].concat();
                assert_pixels(&strayed, &expected, &format!("{stray:?} before {marker:X}"));
            }
        }
    }
}

/// libjpeg's rules find the segments about colours at any position.
#[test]
fn stray_bytes_hide_no_colours() {
    let photo = cmyk(&gradient(61, 47));
    let expected = decode(&photo, &LIMITS).unwrap();
    let adobe = position(&photo, 0xEE);
    let end = adobe + 2 + usize::from(photo[adobe + 3]);
    let table = position(&photo, 0xC4);
    let moved = [
        &photo[..adobe],
        &photo[end..table],
        &[0x55],
        &photo[adobe..end],
        &photo[table..],
    ];
    assert_pixels(&moved.concat(), &expected, "an Adobe segment behind a stray byte");
    let unmarked = [&photo[..adobe], &photo[end..]].concat();
    let inverted = decode(&unmarked, &LIMITS).unwrap();
    assert!(inverted.pixels != expected.pixels, "the segment changes nothing");

    let profile = ColorProfile::new_display_p3().encode().unwrap();
    let photo = jpeg(&gradient(61, 47), |_| {});
    let expected = decode(
        &with_segments(&photo, &profile_segments(&profile, 60_000)),
        &LIMITS,
    )
    .unwrap();
    assert!(expected.icc.is_some());
    let table = position(&photo, 0xC4);
    let segments = profile_segments(&profile, 100).concat();
    let strayed = [&photo[..table], &[0x55], &segments, &photo[table..]].concat();
    assert!(
        decode(&strayed, &LIMITS).unwrap() == expected,
        "a profile behind a stray byte"
    );
}

#[test]
fn jpeg_without_its_end_marker() {
    for progressive in [false, true] {
        let photo = jpeg(&gradient(61, 47), |c| c.set_progressive(progressive).unwrap());
        let expected = decode(&photo, &LIMITS).unwrap();
        for missing in [1, 2] {
            assert_pixels(
                &photo[..photo.len() - missing],
                &expected,
                &format!("{missing} bytes missing"),
            );
        }
    }
    let arithmetic = jpeg(&gradient(61, 47), |c| c.set_arithmetic(true).unwrap());
    assert_corrupt(&arithmetic[..arithmetic.len() - 2], "arithmetic coding");
}

/// An end marker after the remaining data does not hide missing rows.
#[test]
fn jpeg_with_rows_missing_and_an_end_marker() {
    for progressive in [false, true] {
        let photo = jpeg(&gradient(61, 47), |c| c.set_progressive(progressive).unwrap());
        let expected = decode(&photo, &LIMITS).unwrap();
        let (mut refused, begin) = (0, position(&photo, 0xDA) + 14);
        for length in begin..photo.len() - 2 {
            match decode(&[&photo[..length], &EOI].concat(), &LIMITS) {
                Ok(picture) => assert!(picture == expected, "progressive {progressive}, cut to {length}"),
                Err(error) => refused += usize::from(error.reason() == CorruptImage),
            }
        }
        // The last bytes of a progressive JPEG may be the end of a table.
        assert!(refused + 2 >= photo.len() - 2 - begin, "{refused}");
    }
}

#[test]
fn progressive_jpeg_with_a_scan_missing() {
    let photo = jpeg(&gradient(61, 47), |c| c.set_progressive(true).unwrap());
    let scans = positions(&photo, 0xDA);
    assert!(scans.len() > 5);
    for scan in &scans[1..] {
        // The tables of a scan precede it.
        let end = positions(&photo, 0xC4)
            .into_iter()
            .filter(|at| at < scan)
            .max()
            .unwrap();
        for end in [*scan, end] {
            assert_corrupt(&[&photo[..end], &EOI].concat(), &format!("cut to {end}"));
            assert_corrupt(&photo[..end], &format!("cut to {end}, without an end marker"));
        }
    }
}

#[test]
fn sequential_jpeg_with_a_component_missing() {
    let photo = card("three-scans.jpg");
    decode(&photo, &LIMITS).unwrap();
    let scans = positions(&photo, 0xDA);
    assert_eq!(scans.len(), 3);
    for scan in &scans[1..] {
        assert_corrupt(&[&photo[..*scan], &EOI].concat(), "a component is missing");
        assert_corrupt(&photo[..*scan], "a component and the end marker are missing");
    }
}

/// A wrong checksum that concerns no pixel, and no data after the image data.
#[test]
fn png_with_damage_beside_its_image() {
    let photo = png_of(&gradient(61, 47));
    let expected = decode(&photo, &LIMITS).unwrap();
    let image = photo.windows(4).position(|four| four == b"IDAT").unwrap() - 4;
    let text = b"\0\0\0\x0AtEXtComment\0hi\xDE\xAD\xBE\xEF";
    let damaged = [&photo[..image], text, &photo[image..]].concat();
    assert_pixels(&damaged, &expected, "a wrong checksum of a text");
    let end = photo.len() - 12;
    assert_pixels(&photo[..end], &expected, "no IEND");
    assert_pixels(&[&photo[..end], &text[..9]].concat(), &expected, "a text cut off");
    for behind in [&b""[..], b"\0\0", b"\0\0\0\0IEND", text] {
        let cut = [&photo[..end - 1], behind].concat();
        assert_corrupt(&cut, "an image that is cut off");
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// The markers of this code.
fn positions(jpeg: &[u8], code: u8) -> Vec<usize> {
    let markers = jpeg.windows(2).enumerate();
    markers
        .filter(|(_, pair)| *pair == [0xFF, code])
        .map(|(at, _)| at)
        .collect()
}

fn position(jpeg: &[u8], code: u8) -> usize {
    positions(jpeg, code)[0]
}

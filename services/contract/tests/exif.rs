//! What the camera wrote about the photo.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use contract::media::{orientation, taken_at};
use proptest::prelude::*;

const ORIENTATION: u16 = 0x0112;
const EXIF_IFD: u16 = 0x8769;
const DATE_TIME_ORIGINAL: u16 = 0x9003;
const OFFSET_TIME_ORIGINAL: u16 = 0x9011;

#[derive(Clone, Copy)]
enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn short(self, number: u16) -> [u8; 2] {
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }

    fn long(self, number: usize) -> [u8; 4] {
        let number = u32::try_from(number).unwrap();
        match self {
            Self::Little => number.to_le_bytes(),
            Self::Big => number.to_be_bytes(),
        }
    }
}

/// TIFF 6.0 with an orientation in the first directory and texts in the Exif one.
fn tiff(order: ByteOrder, orientation: Option<u16>, texts: &[(u16, &str)]) -> Vec<u8> {
    let mut out = match order {
        ByteOrder::Little => b"II".to_vec(),
        ByteOrder::Big => b"MM".to_vec(),
    };
    out.extend(order.short(42));
    out.extend(order.long(8));
    let first_entries = 1 + usize::from(orientation.is_some());
    out.extend(order.short(u16::try_from(first_entries).unwrap()));
    if let Some(orientation) = orientation {
        out.extend([order.short(ORIENTATION), order.short(3)].concat());
        out.extend(order.long(1));
        out.extend([order.short(orientation), [0, 0]].concat());
    }
    out.extend([order.short(EXIF_IFD), order.short(4)].concat());
    out.extend(order.long(1));
    let exif_at = out.len() + 4 + 4;
    out.extend(order.long(exif_at));
    out.extend(order.long(0));
    out.extend(order.short(u16::try_from(texts.len()).unwrap()));
    let text_at = exif_at + 2 + 12 * texts.len() + 4;
    let mut long_texts = Vec::new();
    for (tag, text) in texts {
        let text = [text.as_bytes(), &[0]].concat();
        out.extend([order.short(*tag), order.short(2)].concat());
        out.extend(order.long(text.len()));
        if text.len() <= 4 {
            out.extend([&text[..], &[0; 4]].concat()[..4].iter());
        } else {
            out.extend(order.long(text_at + long_texts.len()));
            long_texts.extend(text);
        }
    }
    out.extend(order.long(0));
    out.extend(long_texts);
    out
}

fn in_jpeg(tiff: &[u8]) -> Vec<u8> {
    let length = u16::try_from(tiff.len() + 8).unwrap().to_be_bytes();
    let frame = b"\xFF\xC0\0\x0B\x08\0\x10\0\x18\x01\x01\x11\0";
    [b"\xFF\xD8\xFF\xE1", &length[..], b"Exif\0\0", tiff, frame].concat()
}

fn in_png(tiff: &[u8]) -> Vec<u8> {
    let length = u32::try_from(tiff.len()).unwrap().to_be_bytes();
    let header = b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR\0\0\0\x18\0\0\0\x10\x08\x02\0\0\0\0\0\0\0";
    [&header[..], &length, b"eXIf", tiff, &[0; 4]].concat()
}

fn in_webp(tiff: &[u8]) -> Vec<u8> {
    let extended = b"VP8X\x0A\0\0\0\x08\0\0\0\x17\0\0\x0F\0\0";
    let length = u32::try_from(tiff.len()).unwrap().to_le_bytes();
    let chunks = [&extended[..], b"EXIF", &length, tiff].concat();
    let riff = u32::try_from(chunks.len() + 4).unwrap().to_le_bytes();
    [b"RIFF", &riff[..], b"WEBP", &chunks].concat()
}

/// With what programs put before the TIFF header although only a JPEG has it.
fn in_all_with_prefix(tiff: &[u8]) -> Vec<Vec<u8>> {
    let prefixes = [&b"Exif\0\0"[..], b"Exif\0\0Exif\0\0", b"\0\0\0\x06Exif\0\0"];
    let with = |prefix: &&[u8]| [prefix, tiff].concat();
    let files = prefixes.iter().map(with).chain([tiff.to_vec()]);
    files.flat_map(|file| [in_png(&file), in_webp(&file)]).collect()
}

fn in_all(tiff: &[u8]) -> [Vec<u8>; 3] {
    [in_jpeg(tiff), in_png(tiff), in_webp(tiff)]
}

#[test]
fn all_eight_orientations() {
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for value in 1..=8 {
            for photo in in_all(&tiff(order, Some(value), &[])) {
                assert_eq!(u16::from(orientation(&photo)), value);
            }
        }
    }
}

#[test]
fn what_a_jpeg_has_before_its_exif_may_stand_in_others_too() {
    let texts = [(DATE_TIME_ORIGINAL, "2024:05:06 07:08:09")];
    for order in [ByteOrder::Little, ByteOrder::Big] {
        for photo in in_all_with_prefix(&tiff(order, Some(6), &texts)) {
            assert_eq!(orientation(&photo), 6, "{photo:x?}");
            assert!(taken_at(&photo).is_some(), "{photo:x?}");
        }
    }
}

/// RFC 9649, 2.3: a chunk of odd length has a padding byte, which counts for the
/// file's length and not for the chunk's. Programs forget it, or count otherwise.
#[test]
fn the_padding_byte_of_a_webp_may_be_missing() {
    let tiff = tiff(
        ByteOrder::Little,
        Some(6),
        &[(DATE_TIME_ORIGINAL, "2024:05:06 07:08:09")],
    );
    let odd = if tiff.len() % 2 == 1 {
        tiff
    } else {
        [&tiff[..], &[0]].concat()
    };
    let uncounted = in_webp(&odd);
    let padded = [&uncounted[..], &[0]].concat();
    let mut counted = padded.clone();
    counted[4] += 1;
    for photo in [
        &uncounted,
        &padded,
        &counted,
        &counted[..counted.len() - 1].to_vec(),
    ] {
        assert_eq!(orientation(photo), 6);
        assert!(taken_at(photo).is_some());
    }
}

#[test]
fn a_chunk_behind_a_padding_byte_is_found() {
    let photo = in_webp(&tiff(ByteOrder::Little, Some(6), &[]));
    let exif = photo.windows(4).position(|four| four == b"EXIF").unwrap();
    let odd = b"XMP \x03\0\0\0<x>\0";
    let mut behind = [&photo[..exif], odd, &photo[exif..]].concat();
    behind[4] += 12;
    assert_eq!(orientation(&behind), 6);
}

#[test]
fn an_orientation_that_is_none() {
    for value in [0, 9, 255, 256 + 6, u16::MAX] {
        assert_eq!(orientation(&in_jpeg(&tiff(ByteOrder::Big, Some(value), &[]))), 1);
    }
    assert_eq!(orientation(&in_jpeg(&tiff(ByteOrder::Big, None, &[]))), 1);
    assert_eq!(orientation(b"\xFF\xD8\xFF\xD9"), 1);
    assert_eq!(orientation(b""), 1);
}

fn taken(date: &str, offset: Option<&str>) -> Option<String> {
    let texts: Vec<_> = [(DATE_TIME_ORIGINAL, date)]
        .into_iter()
        .chain(offset.map(|offset| (OFFSET_TIME_ORIGINAL, offset)))
        .collect();
    let times = in_all(&tiff(ByteOrder::Little, Some(1), &texts)).map(|photo| taken_at(&photo));
    assert!(times.iter().all(|time| *time == times[0]), "{times:?}");
    times[0].map(|time| time.to_rfc3339())
}

#[test]
fn the_time_with_and_without_an_offset() {
    let date = "2024:05:06 07:08:09";
    for (offset, expected) in [
        (None, "2024-05-06T07:08:09+00:00"),
        (Some("+02:00"), "2024-05-06T05:08:09+00:00"),
        (Some("-09:30"), "2024-05-06T16:38:09+00:00"),
        (Some("+14:00"), "2024-05-05T17:08:09+00:00"),
        (Some("+0200"), "2024-05-06T05:08:09+00:00"),
        (Some("-0930"), "2024-05-06T16:38:09+00:00"),
        (Some("+02"), "2024-05-06T05:08:09+00:00"),
        (Some("+2"), "2024-05-06T05:08:09+00:00"),
        (Some("-2:00"), "2024-05-06T09:08:09+00:00"),
        (Some(" +02:00 "), "2024-05-06T05:08:09+00:00"),
        (Some("Z"), "2024-05-06T07:08:09+00:00"),
        (Some("+24:00"), "2024-05-06T07:08:09+00:00"),
        (Some("+02:60"), "2024-05-06T07:08:09+00:00"),
        (Some("+02:"), "2024-05-06T07:08:09+00:00"),
        (Some("++200"), "2024-05-06T07:08:09+00:00"),
        (Some("+02:00:00"), "2024-05-06T07:08:09+00:00"),
        (Some("   :  "), "2024-05-06T07:08:09+00:00"),
        (Some("summer"), "2024-05-06T07:08:09+00:00"),
        (Some(""), "2024-05-06T07:08:09+00:00"),
    ] {
        assert_eq!(taken(date, offset).as_deref(), Some(expected), "{offset:?}");
    }
}

/// A year that RFC 3339 cannot write must not come into an answer.
#[test]
fn a_year_that_no_time_can_have_in_utc_is_none() {
    for (date, offset) in [
        ("0000:06:01 00:00:00", None),
        ("0001:01:01 00:00:00", Some("+00:01")),
        ("9999:12:31 23:59:59", Some("-00:01")),
    ] {
        assert_eq!(taken(date, offset), None, "{date} {offset:?}");
    }
    assert!(taken("9999:12:31 23:59:59", Some("+00:01")).is_some());
}

#[test]
fn a_time_that_is_none() {
    for date in [
        "",
        "0000:00:00 00:00:00",
        "    :  :     :  :  ",
        "2024:02:30 00:00:00",
        "2024:01:01 24:00:00",
        "2024:01:01 00:61:00",
        "2024-01-01T00:00:00Z",
        "yesterday, at noon..",
    ] {
        assert_eq!(taken(date, None), None, "{date:?}");
    }
    assert_eq!(taken_at(b"\xFF\xD8\xFF\xD9"), None);
}

proptest! {
    /// A damaged directory is no reason to lose the photo.
    #[test]
    fn damaged_exif_is_read_without_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let texts = [(DATE_TIME_ORIGINAL, "2024:05:06 07:08:09"), (OFFSET_TIME_ORIGINAL, "+02:00")];
        for mut photo in in_all(&tiff(ByteOrder::Big, Some(6), &texts)) {
            for (at, byte) in &changes {
                let at = at.index(photo.len());
                photo[at] = *byte;
            }
            photo.truncate(cut.index(photo.len() + 1));
            prop_assert!((1..=8).contains(&orientation(&photo)));
            let _ = taken_at(&photo);
        }
    }
}

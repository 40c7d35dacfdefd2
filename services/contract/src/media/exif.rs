//! Exif (CIPA DC-008), the camera's metadata of a photo.

use std::io::Cursor;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use exif::{In, Tag, Value};

use super::{Chunk, MediaType, YEARS, png_chunks, webp_chunks};

/// Maximum position of the TIFF header in a chunk. Some programs write the JPEG segment's `Exif\0\0` before it.
const MAX_PREFIX_BYTES: usize = 16;

/// The time at which the photo was taken: EXIF `DateTimeOriginal` with `OffsetTimeOriginal`, or in UTC without a readable
/// offset. `None` if the bytes have no such time, or one outside [`YEARS`].
#[must_use]
pub fn taken_at(head: &[u8]) -> Option<DateTime<Utc>> {
    let exif = read_exif(head)?;
    let ascii = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => lines.first().cloned(),
        _ => None,
    };
    let stamp = exif::DateTime::from_ascii(&ascii(Tag::DateTimeOriginal)?).ok()?;
    let offset = ascii(Tag::OffsetTimeOriginal).and_then(|text| parse_offset(&text));
    let local = NaiveDate::from_ymd_opt(stamp.year.into(), stamp.month.into(), stamp.day.into())?
        .and_hms_opt(stamp.hour.into(), stamp.minute.into(), stamp.second.into())?;
    let offset = offset.or_else(|| FixedOffset::east_opt(0))?;
    let taken_at = local.and_local_timezone(offset).single()?.to_utc();
    YEARS.contains(&taken_at.year()).then_some(taken_at)
}

/// EXIF `Orientation`, 1 to 8 (CIPA DC-008, 4.6.4); 1 if it is missing or invalid.
#[must_use]
pub fn orientation(photo: &[u8]) -> u8 {
    read_exif(photo)
        .and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

/// The offset from UTC: `+02:00` by the standard (CIPA DC-008, 4.6.5); cameras also write `+0200`, `+02`, `+2` and `Z`.
fn parse_offset(text: &[u8]) -> Option<FixedOffset> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    if text.eq_ignore_ascii_case("Z") {
        return FixedOffset::east_opt(0);
    }
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None if digits.len() > 2 => digits.split_at_checked(digits.len() - 2)?,
        None => (digits, "0"),
    };
    let number = |text: &str, limit: i32| {
        let is_short = (1..=2).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n: &i32| is_short && *n < limit)
    };
    FixedOffset::east_opt(sign * 60 * (60 * number(hours, 24)? + number(minutes, 60)?))
}

fn read_exif(photo: &[u8]) -> Option<exif::Exif> {
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    let read = match MediaType::sniff(photo)? {
        MediaType::Jpeg => reader.read_from_container(&mut Cursor::new(photo)),
        MediaType::Png => reader.read_raw(tiff_in(photo, png_chunks(photo), *b"eXIf")?),
        MediaType::Webp => reader.read_raw(tiff_in(photo, webp_chunks(photo), *b"EXIF")?),
    };
    read.or_else(|e| e.distill_partial_result(|_| {})).ok()
}

/// The TIFF file in the first chunk of this kind.
fn tiff_in(photo: &[u8], mut chunks: impl Iterator<Item = Chunk>, kind: [u8; 4]) -> Option<Vec<u8>> {
    let chunk = chunks.find(|chunk| chunk.kind == kind)?;
    let body = photo.get(chunk.body)?;
    let begin = (0..=MAX_PREFIX_BYTES).find(|at| {
        let tiff = body.get(*at..).unwrap_or_default();
        tiff.starts_with(b"II*\0") || tiff.starts_with(b"MM\0*")
    })?;
    body.get(begin..).map(<[u8]>::to_vec)
}

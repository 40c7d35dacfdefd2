//! What a camera wrote about a photo: Exif (CIPA DC-008).

use std::io::Cursor;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, Utc};
use exif::{In, Tag, Value};

use super::YEARS;

/// The time at which the camera says that it took the photo: EXIF
/// `DateTimeOriginal` with `OffsetTimeOriginal`; without an offset it is taken
/// as UTC. `None` where the bytes hold no such time, or one outside [`YEARS`].
#[must_use]
pub fn taken_at(head: &[u8]) -> Option<DateTime<Utc>> {
    let exif = read_exif(head)?;
    let ascii = |tag| match &exif.get_field(tag, In::PRIMARY)?.value {
        Value::Ascii(lines) => lines.first().cloned(),
        _ => None,
    };
    let mut stamp = exif::DateTime::from_ascii(&ascii(Tag::DateTimeOriginal)?).ok()?;
    if let Some(offset) = ascii(Tag::OffsetTimeOriginal) {
        // An unreadable offset leaves the time as if there were none.
        let _ = stamp.parse_offset(&offset);
    }
    let local = NaiveDate::from_ymd_opt(stamp.year.into(), stamp.month.into(), stamp.day.into())?
        .and_hms_opt(stamp.hour.into(), stamp.minute.into(), stamp.second.into())?;
    let offset = FixedOffset::east_opt(i32::from(stamp.offset.unwrap_or(0)) * 60)?;
    let taken_at = local.and_local_timezone(offset).single()?.to_utc();
    YEARS.contains(&taken_at.year()).then_some(taken_at)
}

/// EXIF `Orientation`, 1 to 8 (CIPA DC-008, 4.6.4); 1 where there is none or
/// it makes no sense.
#[must_use]
pub fn orientation(photo: &[u8]) -> u8 {
    read_exif(photo)
        .and_then(|exif| exif.get_field(Tag::Orientation, In::PRIMARY)?.value.get_uint(0))
        .and_then(|value| u8::try_from(value).ok())
        .filter(|value| (1..=8).contains(value))
        .unwrap_or(1)
}

fn read_exif(photo: &[u8]) -> Option<exif::Exif> {
    let mut reader = exif::Reader::new();
    reader.continue_on_error(true);
    match reader.read_from_container(&mut Cursor::new(photo)) {
        Ok(exif) => Some(exif),
        Err(e) => e.distill_partial_result(|_| {}).ok(),
    }
}

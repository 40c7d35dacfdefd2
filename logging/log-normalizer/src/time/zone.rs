//! Parses the time zone after a clock.

use super::number;

/// Minutes ahead of UTC of an abbreviation that has one meaning in the IANA database since 2019.
const fn abbreviation(name: &[u8]) -> Option<i64> {
    Some(match name {
        b"Z" | b"UTC" | b"GMT" | b"WET" => 0,
        b"CET" | b"WEST" | b"WAT" => 60,
        b"CEST" | b"EET" | b"SAST" | b"CAT" => 120,
        b"EEST" | b"MSK" | b"EAT" => 180,
        b"PKT" => 300,
        b"WIB" => 420,
        b"HKT" | b"AWST" | b"WITA" => 480,
        b"JST" | b"KST" | b"WIT" => 540,
        b"ACST" => 570,
        b"AEST" => 600,
        b"ACDT" => 630,
        b"AEDT" => 660,
        b"NZST" => 720,
        b"NZDT" => 780,
        b"EDT" => -240,
        b"EST" => -300,
        b"MDT" => -360,
        b"MST" | b"PDT" => -420,
        b"AKDT" => -480,
        b"AKST" => -540,
        b"HST" => -600,
        _ => return None,
    })
}

/// Abbreviations with several meanings, or with another one in the past.
const AMBIGUOUS: [&[u8]; 11] = [
    b"CST", b"IST", b"BST", b"PST", b"CDT", b"AMT", b"AST", b"ADT", b"MSD", b"SGT", b"WST",
];

/// Whether something follows a clock that changes its time in a way that is not known: an ambiguous abbreviation, AM or
/// PM, a city, or an offset in another notation.
pub(super) fn is_unknown(text: &[u8]) -> bool {
    let zone = text.strip_prefix(b" ").unwrap_or(text);
    let zone = zone.strip_prefix(b"[").unwrap_or(zone);
    let length = zone
        .iter()
        .take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_')
        .count();
    let (name, rest) = zone.split_at(length);
    match (name, rest) {
        (b"AM" | b"PM" | b"am" | b"pm", _) => true,
        (b"GMT" | b"UTC", [b'+' | b'-', b'0'..=b'9', ..]) => true,
        // `America/Lima`.
        ([first, second, ..], [b'/', city, ..]) => {
            first.is_ascii_uppercase() && second.is_ascii_lowercase() && city.is_ascii_uppercase()
        }
        // `+2:00`.
        ([], [b'+' | b'-', b'0'..=b'9', b':', b'0'..=b'9', ..]) => true,
        _ => AMBIGUOUS.contains(&name),
    }
}

/// Seconds ahead of UTC and the length of a zone, with a blank before it.
pub(super) fn at_start(text: &[u8]) -> Option<(i64, usize)> {
    let zone = text.strip_prefix(b" ").unwrap_or(text);
    let blank = text.len() - zone.len();
    let (offset, length) = match zone.first()? {
        b'+' | b'-' => offset(zone)?,
        _ => {
            let length = zone.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
            (60 * abbreviation(zone.get(..length)?)?, length)
        }
    };
    let rest = zone.get(length..)?;
    let ends = rest
        .first()
        .is_none_or(|byte| !byte.is_ascii_alphanumeric() && !b"+-:".contains(byte));
    // ` -10` may be a number of the message; PostgreSQL writes its process after it.
    let is_offset = length != 3 || blank == 0 || zone.len() == 3 || rest.starts_with(b" [");
    (ends && (is_offset || zone.first().is_some_and(u8::is_ascii_alphabetic)))
        .then_some((offset, blank + length))
}

/// `+02:00`, `+0200` or `+02`.
fn offset(zone: &[u8]) -> Option<(i64, usize)> {
    let (hours, minutes, length) = match zone {
        [_, h1, h2, b':', m1, m2, ..] => ([*h1, *h2], [*m1, *m2], 6),
        [_, h1, h2, m1, m2, ..] if m1.is_ascii_digit() => ([*h1, *h2], [*m1, *m2], 5),
        [_, h1, h2, ..] => ([*h1, *h2], [b'0', b'0'], 3),
        _ => return None,
    };
    let (hours, minutes) = (number(&hours)?, number(&minutes)?);
    let ahead = i64::from(hours * 3600 + minutes * 60);
    let ahead = if zone.first() == Some(&b'-') {
        -ahead
    } else {
        ahead
    };
    (hours < 24 && minutes < 60).then_some((ahead, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones() {
        for (text, zone) in [
            ("Z", Some((0, 1))),
            (" UTC", Some((0, 4))),
            ("+02:00", Some((7200, 6))),
            ("-0530 x", Some((-19_800, 5))),
            (" +03", Some((10_800, 4))),
            (" +03 [1]", Some((10_800, 4))),
            (" CEST", Some((7200, 5))),
            (" CET]", Some((3600, 4))),
            ("+24:00", None),
            ("+02:60", None),
            ("+2", None),
            (" +03 x", None),
            (" CST", None),
            (" Zoo", None),
            (" GMT+2", None),
            ("", None),
            (" ", None),
        ] {
            assert_eq!(at_start(text.as_bytes()), zone, "{text}");
        }
    }
}

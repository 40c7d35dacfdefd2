//! Formats numbers and durations.

/// A duration: `0.4 s`, `12 s`, `3 m 20 s`, `5 h 10 m`, `2 d 3 h`.
#[must_use]
pub fn format_seconds(seconds: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "m"), (1.0, "s")];
    if seconds < 10.0 {
        let tenths = (seconds * 10.0).round() / 10.0;
        return format!("{tenths} s");
    }
    let whole = seconds.round();
    let first = UNITS.iter().position(|(length, _)| whole >= *length).unwrap_or(3);
    let mut rest = whole;
    let mut parts = Vec::new();
    for (length, unit) in UNITS.iter().skip(first).take(2) {
        let count = (rest / length).floor();
        rest -= count * length;
        if count > 0.0 {
            parts.push(format!("{count} {unit}"));
        }
    }
    parts.join(" ")
}

/// A number with its noun: `1 line`, `3 lines`.
#[must_use]
pub fn format_count(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_parts() {
        for (length, text) in [
            (0.04, "0 s"),
            (0.44, "0.4 s"),
            (3.0, "3 s"),
            (12.4, "12 s"),
            (60.0, "1 m"),
            (200.0, "3 m 20 s"),
            (18_600.4, "5 h 10 m"),
            (183_700.0, "2 d 3 h"),
        ] {
            assert_eq!(format_seconds(length), text);
        }
    }
}

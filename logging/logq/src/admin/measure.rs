//! Sizes and ages with units.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A size in bytes: `512mb`, `20gb` (powers of 1024, as in OpenSearch).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// A duration: `12h`, `30d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(pub Duration);

const SIZES: [(&str, u64); 5] = [
    ("tb", 1 << 40),
    ("gb", 1 << 30),
    ("mb", 1 << 20),
    ("kb", 1 << 10),
    ("b", 1),
];
const AGES: [(&str, u64); 5] = [
    ("w", 7 * 86_400),
    ("d", 86_400),
    ("h", 3_600),
    ("m", 60),
    ("s", 1),
];

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let factor = units
        .iter()
        .find_map(|(name, factor)| (*name == unit).then_some(*factor))?;
    number
        .parse::<u64>()
        .ok()?
        .checked_mul(factor)
        .filter(|value| *value > 0 && *value <= i64::MAX as u64 / 1_000)
}

impl FromStr for Size {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &SIZES)
            .map(Self)
            .ok_or("expected a whole number above 0 with b, kb, mb, gb or tb, for example 20gb")
    }
}

impl FromStr for Age {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse(text, &AGES)
            .map(|seconds| Self(Duration::from_secs(seconds)))
            .ok_or("expected a whole number above 0 with s, m, h, d or w, for example 30d")
    }
}

fn format(formatter: &mut fmt::Formatter<'_>, value: u64, units: &[(&str, u64)]) -> fmt::Result {
    let smallest = units.last().copied().unwrap_or(("", 1));
    let (unit, factor) = units
        .iter()
        .copied()
        .find(|(_, factor)| value >= *factor)
        .unwrap_or(smallest);
    let (whole, tenths) = (value / factor, value % factor * 10 / factor);
    if tenths == 0 {
        write!(formatter, "{whole}{unit}")
    } else {
        write!(formatter, "{whole}.{tenths}{unit}")
    }
}

impl fmt::Display for Size {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        format(formatter, self.0, &SIZES)
    }
}

impl fmt::Display for Age {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Weeks are an input format only; days read better.
        format(formatter, self.0.as_secs(), AGES.get(1..).unwrap_or(&AGES))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_ages_round_trip() {
        assert_eq!("20gb".parse(), Ok(Size(20 << 30)));
        assert_eq!("1W".parse(), Ok(Age(Duration::from_secs(604_800))));
        assert_eq!(Size(1536 << 20).to_string(), "1.5gb");
        assert_eq!(Age(Duration::from_secs(30 * 86_400)).to_string(), "30d");
        assert_eq!(Age(Duration::from_secs(90)).to_string(), "1.5m");
        assert_eq!(Age(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn invalid_values_are_rejected() {
        for text in [
            "",
            "20",
            "gb",
            "-1d",
            "1.5d",
            "0d",
            "1 day",
            "99999999999999999999d",
            "9999999999tb",
        ] {
            assert!(text.parse::<Age>().is_err(), "{text}");
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}

//! Words that other programs have for our levels.

use schema::level::{DEBUG, ERROR, INFO, TRACE, WARN};

/// Each word in lower case with the level that it means.
const WORDS: [(&str, &str); 16] = [
    ("trace", TRACE),
    ("debug", DEBUG),
    ("info", INFO),
    ("information", INFO),
    ("notice", INFO),
    ("warn", WARN),
    ("warning", WARN),
    ("error", ERROR),
    ("err", ERROR),
    ("fatal", ERROR),
    ("critical", ERROR),
    ("crit", ERROR),
    ("panic", ERROR),
    ("emerg", ERROR),
    ("emergency", ERROR),
    ("alert", ERROR),
];

/// The level that a word means, written in any case.
pub(super) fn of_word(word: &str) -> Option<&'static str> {
    WORDS
        .into_iter()
        .find_map(|(known, level)| known.eq_ignore_ascii_case(word).then_some(level))
}

/// The level that a number of pino or bunyan means: its tens count.
pub(super) fn of_number(number: i64) -> Option<&'static str> {
    match number {
        10..20 => Some(TRACE),
        20..30 => Some(DEBUG),
        30..40 => Some(INFO),
        40..50 => Some(WARN),
        50..=60 => Some(ERROR),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_in_any_case() {
        for (word, level) in [
            ("Warning", Some(WARN)),
            ("ERR", Some(ERROR)),
            ("notice", Some(INFO)),
        ] {
            assert_eq!(of_word(word), level, "{word}");
        }
        for word in ["", "log", "errors", "warn "] {
            assert_eq!(of_word(word), None, "{word}");
        }
    }

    #[test]
    fn numbers() {
        for (number, level) in [
            (9, None),
            (10, Some(TRACE)),
            (35, Some(INFO)),
            (60, Some(ERROR)),
            (61, None),
        ] {
            assert_eq!(of_number(number), level, "{number}");
        }
    }
}

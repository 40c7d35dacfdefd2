//! "Did you mean" suggestions.

/// Minimum similarity of a suggestion, as in clap.
const MIN_SIMILARITY: f64 = 0.7;

/// The most similar name, if one is similar enough.
pub fn nearest<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .map(|name| (strsim::jaro_winkler(typed, name), name))
        .filter(|(likeness, _)| *likeness > MIN_SIMILARITY)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name)
}

/// "; did you mean …?", or an empty text.
pub fn suggestion<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(typed, names).map_or_else(String::new, |name| format!("; did you mean {name}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_names_are_suggested() {
        let names = ["output", "color", "utc", "opensearch.password_file"];
        assert_eq!(nearest("colour", names), Some("color"));
        assert_eq!(
            nearest("opensearch.pasword_file", names),
            Some("opensearch.password_file")
        );
        assert_eq!(nearest("zzz", names), None);
    }
}

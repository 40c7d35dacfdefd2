//! Of what `--stats` shows, what does not grow older.

/// What `--stats` shows without the ages of the newest lines, which grow.
pub fn without(text: &str) -> String {
    let age = regex::Regex::new(r#"(?m) +(age|\d+[dhm]\d\d[hms])$|"age_seconds":[0-9.]+,"#).unwrap();
    age.replace_all(text, "").into_owned()
}

//! Removes the ages from the output of `--stats`.

/// The output of `--stats` without the ages of the newest lines, which change.
pub fn without(text: &str) -> String {
    let age = regex::Regex::new(r#"(?m) +(age|\d+[dhm]\d\d[hms])$|"age_seconds":[0-9.]+,"#).unwrap();
    age.replace_all(text, "").into_owned()
}

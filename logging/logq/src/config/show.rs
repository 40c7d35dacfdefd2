//! `logq config`: all settings and their sources.

use std::io::{self, Write};

use clap::Command;

use super::{Config, SettingSource, connection, options, options::ConfigurableOptions};
use crate::opensearch::DEFAULT_URL;

/// Replaces a secret in the output.
const REDACTED: &str = "(set; not shown)";

/// Prints all settings.
///
/// # Errors
/// An I/O error of the output.
pub fn show(config: &Config, command: &Command, out: &mut impl Write) -> io::Result<()> {
    match config.path() {
        Some(path) => writeln!(out, "file: {}", terminal::escaped(&path.display().to_string()))?,
        None => writeln!(out, "file: none")?,
    }
    let settings = settings(config, command);
    let width = |part: fn(&Setting) -> usize| settings.iter().map(part).max().unwrap_or(0);
    let (keys, values) = (width(|s| s.key.len()), width(|s| s.value.chars().count()).min(40));
    for Setting { key, value, source } in &settings {
        writeln!(out, "{key:<keys$}  {value:<values$}  {source}")?;
    }
    Ok(())
}

struct Setting {
    key: String,
    value: String,
    source: String,
}

fn settings(config: &Config, command: &Command) -> Vec<Setting> {
    let options = ConfigurableOptions::from_command(command);
    let of_options = options.keys().map(|key| {
        let (value, origin) = option(config, &options, key);
        (key.to_owned(), value, origin.to_string())
    });
    let of_connection = connection::keys().into_iter().map(|key| {
        let (value, source) = match config.connection(&key) {
            Some(_) if config.overriding_variable(&key).is_none() && connection::is_secret(&key) => {
                let origin = config.connection(&key).map(|(_, origin)| origin);
                (
                    REDACTED.to_owned(),
                    origin.unwrap_or(SettingSource::BuiltIn).to_string(),
                )
            }
            Some((value, origin)) => (value, origin.to_string()),
            None => match config.overriding_variable(&key) {
                Some(variable) => ("-".to_owned(), format!("ignored, because {variable} is set")),
                None if key == "opensearch.url" => {
                    (DEFAULT_URL.to_owned(), SettingSource::BuiltIn.to_string())
                }
                None => ("-".to_owned(), SettingSource::BuiltIn.to_string()),
            },
        };
        (key, value, source)
    });
    of_options
        .chain(of_connection)
        .map(|(key, value, source)| Setting {
            key,
            value: terminal::escaped(&value),
            source: terminal::escaped(&source),
        })
        .collect()
}

fn option(config: &Config, options: &ConfigurableOptions, key: &str) -> (String, SettingSource) {
    let variable = options::variable(key);
    if let Some(value) = config.environment(&variable) {
        return (value, SettingSource::Variable(variable));
    }
    if let Some(entry) = config.file.as_ref().and_then(|file| file.entry(key)) {
        let value = options::texts(&entry.value).join(",");
        return (value, SettingSource::File(entry.location.clone()));
    }
    let default: Vec<String> = options
        .get(key)
        .into_iter()
        .flat_map(clap::Arg::get_default_values)
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let value = match (default.is_empty(), key) {
        (true, "since") => crate::time::DEFAULT_SINCE.to_owned(),
        (true, _) => "-".to_owned(),
        (false, _) => default.join(","),
    };
    (value, SettingSource::BuiltIn)
}

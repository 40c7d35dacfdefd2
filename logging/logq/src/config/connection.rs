//! Connection settings from the environment and the file.

use std::path::Path;

use super::{
    Config, SettingSource,
    file::{ConfigFile, ConfigValue},
    options,
};
use crate::opensearch::{OpenSearchSettings, OpenSearchSettingsError, VARIABLES};

/// The table in the file.
pub const TABLE: &str = "opensearch";

const PREFIX: &str = "LOGQ_OPENSEARCH_";
const URL: &str = "opensearch.url";
const USERNAME: &str = "opensearch.username";
const PASSWORDS: [&str; 2] = ["opensearch.password", "opensearch.password_file"];
const TOKENS: [&str; 2] = ["opensearch.token", "opensearch.token_file"];
const CERTIFICATE: [&str; 2] = ["opensearch.client_cert", "opensearch.client_key"];
/// Keys whose value is a path.
const FILES: [&str; 5] = [
    "opensearch.password_file",
    "opensearch.token_file",
    "opensearch.ca",
    "opensearch.client_cert",
    "opensearch.client_key",
];

/// All keys, derived from the variables.
pub fn keys() -> Vec<String> {
    VARIABLES
        .iter()
        .filter_map(|(variable, _)| variable.strip_prefix(PREFIX))
        .map(|name| format!("{TABLE}.{}", name.to_ascii_lowercase()))
        .collect()
}

/// Whether the value is secret.
pub fn is_secret(key: &str) -> bool {
    [PASSWORDS[0], TOKENS[0]].contains(&key)
}

pub fn is_number(key: &str) -> bool {
    key == "opensearch.timeout"
}

impl Config {
    /// The connection settings.
    ///
    /// # Errors
    /// All errors, with their locations in the file.
    pub fn opensearch(&self) -> Result<OpenSearchSettings, OpenSearchSettingsError> {
        let lookup = |variable: &str| {
            let key = variable.strip_prefix(PREFIX)?;
            self.connection(&format!("{TABLE}.{}", key.to_ascii_lowercase()))
                .map(|(value, _)| value)
        };
        OpenSearchSettings::read(&lookup).map_err(|OpenSearchSettingsError(errors)| {
            OpenSearchSettingsError(errors.into_iter().map(|text| self.with_file_keys(text)).collect())
        })
    }

    /// The value of a key, and its source.
    #[must_use]
    pub fn connection(&self, key: &str) -> Option<(String, SettingSource)> {
        let variable = options::variable(key);
        if let Some(value) = self.environment(&variable).filter(|value| !value.is_empty()) {
            return Some((value, SettingSource::Variable(variable)));
        }
        let file = self.file.as_ref()?;
        let entry = file.entry(key)?;
        let ConfigValue::Text(text) = &entry.value else {
            return None;
        };
        if self.find_overriding_variable(file, key).is_some() {
            return None;
        }
        let value = if FILES.contains(&key) {
            self.resolve_path(file, text)
        } else {
            text.clone()
        };
        Some((value, SettingSource::File(entry.location.clone())))
    }

    /// The variable that makes logq ignore a value of the file. A secret of the file belongs to the user and server in
    /// the file: if the environment names another one, logq does not send the secret there.
    pub fn overriding_variable(&self, key: &str) -> Option<String> {
        let file = self.file.as_ref()?;
        file.entry(key)?;
        self.find_overriding_variable(file, key)
    }

    fn find_overriding_variable(&self, file: &ConfigFile, key: &str) -> Option<String> {
        let set = |key: &str| {
            let variable = options::variable(key);
            self.environment(&variable)
                .is_some_and(|value| !value.is_empty())
                .then_some(variable)
        };
        let is_password = PASSWORDS.contains(&key);
        let is_identity = is_password || TOKENS.contains(&key) || key == USERNAME;
        let is_certificate = CERTIFICATE.contains(&key);
        if !is_identity && !is_certificate {
            return None;
        }
        if let Some(variable) = set(URL) {
            let file_url = file.get(URL);
            let named = self.environment(&variable).map(ConfigValue::Text);
            if file_url != named.as_ref() {
                return Some(variable);
            }
        }
        let first = |keys: &[&str]| keys.iter().find_map(|key| set(key));
        if is_certificate {
            return first(&CERTIFICATE);
        }
        let others = if key == USERNAME {
            first(&TOKENS)
        } else {
            set(USERNAME)
                .or_else(|| first(&PASSWORDS))
                .or_else(|| first(&TOKENS))
        };
        others.filter(|_| {
            self.environment(&options::variable(key))
                .is_none_or(|value| value.is_empty())
        })
    }

    /// Resolves a path relative to the file's folder; expands `~/`.
    fn resolve_path(&self, file: &ConfigFile, text: &str) -> String {
        let path = match text.strip_prefix("~/") {
            Some(rest) => match self.environment("HOME") {
                Some(home) => Path::new(&home).join(rest),
                None => Path::new(text).to_owned(),
            },
            None => file.path.parent().unwrap_or(Path::new("")).join(text),
        };
        path.display().to_string()
    }

    /// Replaces the names of unset variables in an error with the file's keys.
    fn with_file_keys(&self, mut message: String) -> String {
        let mut keys = keys();
        // Longest first: `…_PASSWORD` is a prefix of `…_PASSWORD_FILE`.
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        for key in keys {
            if let Some((_, SettingSource::File(location))) = self.connection(&key) {
                let named = format!("{key} ({location})");
                message = message.replace(&options::variable(&key), &named);
            }
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::config::options::ConfigurableOptions;

    fn config(file: &str, variables: &[(&str, &str)]) -> Config {
        let file = ConfigFile::parse(
            Path::new("/etc/logq/c.toml"),
            file,
            0o600,
            &ConfigurableOptions::from_command(&clap::Command::new("logq")),
        );
        let file = file.unwrap_or_else(|errors| panic!("{errors:?}"));
        let variables: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config {
            environment: Box::new(move |name| variables.get(name).cloned()),
            file: Some(file),
        }
    }

    const FILE: &str = "[opensearch]\nurl = \"https://logs.example\"\nusername = \"reader\"\npassword_file = \
        \"secret\"\nca = \"~/ca.pem\"\ntimeout = 5\n";

    fn all(config: &Config) -> String {
        let texts = keys().into_iter().filter_map(|key| {
            let (value, _) = config.connection(&key)?;
            let name = key.strip_prefix("opensearch.")?.to_owned();
            Some(format!("{name}={value}"))
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let config = config(FILE, &[("HOME", "/h")]);
        assert_eq!(
            all(&config),
            "url=https://logs.example username=reader password_file=/etc/logq/secret ca=/h/ca.pem timeout=5"
        );
    }

    #[test]
    fn secret_goes_only_to_its_server() {
        for (variables, left) in [
            // Another server.
            (
                [("LOGQ_OPENSEARCH_URL", "http://localhost:9200")].as_slice(),
                "url=http://localhost:9200 ca=~/ca.pem timeout=5",
            ),
            // The same.
            (
                &[("LOGQ_OPENSEARCH_URL", "https://logs.example")],
                "url=https://logs.example username=reader password_file=/etc/logq/secret ca=~/ca.pem \
                 timeout=5",
            ),
            // Another user.
            (
                &[("LOGQ_OPENSEARCH_USERNAME", "admin")],
                "url=https://logs.example username=admin ca=~/ca.pem timeout=5",
            ),
            // Another password of the same user.
            (
                &[("LOGQ_OPENSEARCH_PASSWORD", "x")],
                "url=https://logs.example username=reader password=x ca=~/ca.pem timeout=5",
            ),
            // A token in place of both.
            (
                &[("LOGQ_OPENSEARCH_TOKEN_FILE", "t")],
                "url=https://logs.example token_file=t ca=~/ca.pem timeout=5",
            ),
        ] {
            assert_eq!(all(&config(FILE, variables)), left, "{variables:?}");
        }
    }

    #[test]
    fn errors_name_their_location() {
        let config = config("[opensearch]\nurl = \"nowhere\"\nclient_cert = \"c\"\n", &[]);
        let OpenSearchSettingsError(errors) = config.opensearch().unwrap_err();
        assert_eq!(
            errors,
            [
                "opensearch.url (/etc/logq/c.toml:2) is not a URL (http://host:9200 or https://…)",
                "opensearch.client_cert (/etc/logq/c.toml:3) is set, but LOGQ_OPENSEARCH_CLIENT_KEY is not"
            ]
        );
    }
}

//! How OpenSearch is reached, from the variables and the file.

use std::path::Path;

use super::{
    Config, SettingSource,
    file::{ConfigFile, Value},
    options,
};
use crate::opensearch::{Settings, SettingsError, VARIABLES};

/// The table of the file.
pub const TABLE: &str = "opensearch";

const PREFIX: &str = "LOGQ_OPENSEARCH_";
const URL: &str = "opensearch.url";
const USERNAME: &str = "opensearch.username";
const PASSWORDS: [&str; 2] = ["opensearch.password", "opensearch.password_file"];
const TOKENS: [&str; 2] = ["opensearch.token", "opensearch.token_file"];
const CERTIFICATE: [&str; 2] = ["opensearch.client_cert", "opensearch.client_key"];
/// Keys that name a file.
const FILES: [&str; 5] = [
    "opensearch.password_file",
    "opensearch.token_file",
    "opensearch.ca",
    "opensearch.client_cert",
    "opensearch.client_key",
];

/// The keys: the names of the variables.
pub fn keys() -> Vec<String> {
    VARIABLES
        .iter()
        .filter_map(|(variable, _)| variable.strip_prefix(PREFIX))
        .map(|name| format!("{TABLE}.{}", name.to_ascii_lowercase()))
        .collect()
}

/// Whether the value itself must not be seen by others.
pub fn is_secret(key: &str) -> bool {
    [PASSWORDS[0], TOKENS[0]].contains(&key)
}

/// Whether a number stands behind the key.
pub fn is_number(key: &str) -> bool {
    key == "opensearch.timeout"
}

impl Config {
    /// How OpenSearch is reached.
    ///
    /// # Errors
    /// Every mistake, with the place in the file where it was made there.
    pub fn opensearch(&self) -> Result<Settings, SettingsError> {
        let lookup = |variable: &str| {
            let key = variable.strip_prefix(PREFIX)?;
            self.connection(&format!("{TABLE}.{}", key.to_ascii_lowercase()))
                .map(|(value, _)| value)
        };
        Settings::read(&lookup).map_err(|SettingsError(mistakes)| {
            SettingsError(
                mistakes
                    .into_iter()
                    .map(|text| self.with_file_keys(text))
                    .collect(),
            )
        })
    }

    /// What is settled for a key of the connection, and by what.
    #[must_use]
    pub fn connection(&self, key: &str) -> Option<(String, SettingSource)> {
        let variable = options::variable(key);
        if let Some(value) = self.environment(&variable).filter(|value| !value.is_empty()) {
            return Some((value, SettingSource::Variable(variable)));
        }
        let file = self.file.as_ref()?;
        let entry = file.entry(key)?;
        let Value::Text(text) = &entry.value else {
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

    /// The variable because of which the file's value is not taken. A secret
    /// is for the user and for the server that stand beside it in the file;
    /// whoever names another one in the environment gets it not sent there.
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
            let named = self.environment(&variable).map(Value::Text);
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

    /// A path of the file: from the file's folder, `~` for the home.
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

    /// Names the file's keys in place of variables that nobody has set.
    fn with_file_keys(&self, mut mistake: String) -> String {
        let mut keys = keys();
        // `…_PASSWORD_FILE` before `…_PASSWORD`, which is a part of it.
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        for key in keys {
            if let Some((_, SettingSource::File(location))) = self.connection(&key) {
                let named = format!("{key} ({location})");
                mistake = mistake.replace(&options::variable(&key), &named);
            }
        }
        mistake
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use clap::CommandFactory;

    use super::*;
    use crate::{cli::Cli, config::options::ConfigurableOptions};

    fn config(file: &str, variables: &[(&str, &str)]) -> Config {
        let command = Cli::command();
        let file = ConfigFile::parse(
            Path::new("/etc/logq/c.toml"),
            file,
            0o600,
            &ConfigurableOptions::from_command(&command),
        );
        let file = file.unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
        let variables: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        Config {
            environment: Box::new(move |name| variables.get(name).cloned()),
            file: Some(file),
        }
    }

    const FILE: &str = "[opensearch]\nurl = \"https://logs.example\"\nusername = \"reader\"\npassword_file = \"secret\"\nca = \"~/ca.pem\"\ntimeout = 5\n";

    fn all(config: &Config) -> String {
        let texts = keys().into_iter().filter_map(|key| {
            let (value, _) = config.connection(&key)?;
            let name = key.strip_prefix("opensearch.")?.to_owned();
            Some(format!("{name}={value}"))
        });
        texts.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn paths_are_from_the_folder_of_the_file() {
        let config = config(FILE, &[("HOME", "/h")]);
        assert_eq!(
            all(&config),
            "url=https://logs.example username=reader password_file=/etc/logq/secret ca=/h/ca.pem timeout=5"
        );
    }

    #[test]
    fn a_secret_goes_only_where_and_for_whom_it_is_meant() {
        for (variables, left) in [
            // Another server.
            (
                [("LOGQ_OPENSEARCH_URL", "http://localhost:9200")].as_slice(),
                "url=http://localhost:9200 ca=~/ca.pem timeout=5",
            ),
            // The same.
            (
                &[("LOGQ_OPENSEARCH_URL", "https://logs.example")],
                "url=https://logs.example username=reader password_file=/etc/logq/secret ca=~/ca.pem timeout=5",
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
    fn mistakes_name_the_place_where_they_were_made() {
        let config = config("[opensearch]\nurl = \"nowhere\"\nclient_cert = \"c\"\n", &[]);
        let SettingsError(mistakes) = config.opensearch().unwrap_err();
        assert_eq!(
            mistakes,
            [
                "opensearch.url (/etc/logq/c.toml:2) is no URL (http://host:9200 or https://…)",
                "opensearch.client_cert (/etc/logq/c.toml:3) is set, and LOGQ_OPENSEARCH_CLIENT_KEY is not"
            ]
        );
    }
}

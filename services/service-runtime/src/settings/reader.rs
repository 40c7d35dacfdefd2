//! Reads settings; records the variables and the errors.

use std::{
    any::TypeId,
    fmt::{Debug, Display},
    net::SocketAddr,
    str::FromStr,
    time::Duration,
};

use secrecy::SecretString;

use super::{
    Environment, SettingsError, SettingsErrors,
    documentation::{self, Variable, VariableKind},
    units,
};

/// Maximum size of a file with a value; a larger one is the wrong file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Reads a program's settings from an [`Environment`].
///
/// A read never fails: it records an error and returns a placeholder, so that all errors can be reported
/// together. Call [`SettingsReader::finish`] before you use any value.
///
/// Every variable `NAME` can also be given as `NAME_FILE`, the path of a file with the value; trailing line
/// breaks are removed. An empty value counts as not set.
pub struct SettingsReader<'a> {
    environment: &'a dyn Environment,
    errors: Vec<SettingsError>,
    variables: Vec<Variable>,
}

impl Debug for SettingsReader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SettingsReader")
            .field("errors", &self.errors)
            .finish_non_exhaustive()
    }
}

impl<'a> SettingsReader<'a> {
    #[must_use]
    pub fn new(environment: &'a dyn Environment) -> Self {
        Self {
            environment,
            errors: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// A required text.
    pub fn required(&mut self, name: &str, about: &str) -> String {
        self.document(name, VariableKind::Text, documentation::Default::Required, about);
        self.read_required(name).unwrap_or_default()
    }

    /// A text with a default.
    pub fn string(&mut self, name: &str, default: &str, about: &str) -> String {
        self.document(
            name,
            VariableKind::Text,
            documentation::Default::Value(default.to_owned()),
            about,
        );
        self.read_raw(name).unwrap_or_else(|| default.to_owned())
    }

    /// An optional text.
    pub fn optional(&mut self, name: &str, about: &str) -> Option<String> {
        self.document(name, VariableKind::Text, documentation::Default::Unset, about);
        self.read_raw(name)
    }

    /// Optional PEM certificates.
    pub fn certificates(&mut self, name: &str, about: &str) -> Option<String> {
        let pem = self.optional(name, about)?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            self.add_error(name, "has no PEM certificate (-----BEGIN CERTIFICATE-----)");
        }
        Some(pem)
    }

    /// A value of any type that can be parsed, with a default.
    ///
    /// `T`'s parse error is shown, so it must not repeat the value.
    pub fn parsed<T>(&mut self, name: &str, default: T, about: &str) -> T
    where
        T: FromStr<Err: Display> + Display + 'static,
    {
        self.document(
            name,
            type_kind::<T>(),
            documentation::Default::Value(default.to_string()),
            about,
        );
        self.parse(name).unwrap_or(default)
    }

    /// A required value of any type that can be parsed; `None` after an error.
    pub fn parsed_required<T>(&mut self, name: &str, about: &str) -> Option<T>
    where
        T: FromStr<Err: Display> + 'static,
    {
        self.document(name, type_kind::<T>(), documentation::Default::Required, about);
        let text = self.read_required(name)?;
        self.parse_text(name, &text)
    }

    /// An optional value of any type that can be parsed.
    pub fn parsed_optional<T>(&mut self, name: &str, about: &str) -> Option<T>
    where
        T: FromStr<Err: Display> + 'static,
    {
        self.document(name, type_kind::<T>(), documentation::Default::Unset, about);
        self.parse(name)
    }

    /// A size in bytes: `64MiB`, or a plain number.
    pub fn bytes(&mut self, name: &str, default: u64, about: &str) -> u64 {
        let shown = documentation::Default::Value(units::format_bytes(default));
        self.document(name, VariableKind::Bytes, shown, about);
        self.parse_bytes_if_set(name).unwrap_or(default)
    }

    /// An optional size in bytes.
    pub fn bytes_optional(&mut self, name: &str, about: &str) -> Option<u64> {
        self.document(name, VariableKind::Bytes, documentation::Default::Unset, about);
        self.parse_bytes_if_set(name)
    }

    /// A duration: `30s`, `500ms`.
    pub fn duration(&mut self, name: &str, default: Duration, about: &str) -> Duration {
        let shown = documentation::Default::Value(units::format_duration(default));
        self.document(name, VariableKind::Duration, shown, about);
        let Some(text) = self.read_raw(name) else {
            return default;
        };
        units::parse_duration(&text).unwrap_or_else(|| {
            self.add_error(
                name,
                "is not a duration: write a whole number with ms, s, m, h or d, for example 30s",
            );
            default
        })
    }

    /// A switch, off by default.
    pub fn flag(&mut self, name: &str, about: &str) -> bool {
        self.flag_with_default(name, false, about)
    }

    /// A switch with a default.
    pub fn flag_with_default(&mut self, name: &str, default: bool, about: &str) -> bool {
        let shown = documentation::Default::Value(u8::from(default).to_string());
        self.document(name, VariableKind::Flag, shown, about);
        match self
            .read_raw(name)
            .map(|text| text.to_ascii_lowercase())
            .as_deref()
        {
            None => default,
            Some("1" | "true" | "yes" | "on") => true,
            Some("0" | "false" | "no" | "off") => false,
            Some(_) => {
                self.add_error(name, "is a switch: write 1 or 0");
                default
            }
        }
    }

    /// A required secret; secrets have no default.
    pub fn secret(&mut self, name: &str, about: &str) -> SecretString {
        self.document(
            name,
            VariableKind::Secret,
            documentation::Default::Required,
            about,
        );
        self.read_required(name).unwrap_or_default().into()
    }

    /// An optional secret.
    pub fn secret_optional(&mut self, name: &str, about: &str) -> Option<SecretString> {
        self.document(name, VariableKind::Secret, documentation::Default::Unset, about);
        self.read_raw(name).map(Into::into)
    }

    /// Records an error that the caller found, for example in the combination of two variables. `text` must
    /// not hold a value.
    pub fn add_error(&mut self, name: &str, text: impl Into<String>) {
        self.errors.push(SettingsError {
            variable: name.to_owned(),
            text: text.into(),
        });
    }

    /// Every variable that was read, in order, each once.
    #[must_use]
    pub fn documentation(&self) -> &[Variable] {
        &self.variables
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// All errors, if there are any.
    pub fn finish(self) -> Result<(), SettingsErrors> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(SettingsErrors::new(self.errors))
        }
    }

    fn document(&mut self, name: &str, kind: VariableKind, default: documentation::Default, about: &str) {
        if self.variables.iter().all(|candidate| candidate.name != name) {
            self.variables.push(Variable {
                name: name.to_owned(),
                kind,
                default,
                about: about.to_owned(),
            });
        }
    }

    fn read_raw(&mut self, name: &str) -> Option<String> {
        let file_name = format!("{name}_FILE");
        let set = |name: &str| self.environment.get(name).filter(|value| !value.is_empty());
        match (set(name), set(&file_name)) {
            (Some(_), Some(_)) => {
                self.add_error(name, format!("is set, and so is {file_name}: remove one of them"));
                None
            }
            (Some(value), None) => Some(value),
            (None, Some(path)) => self.read_file(&file_name, &path),
            (None, None) => None,
        }
    }

    fn read_required(&mut self, name: &str) -> Option<String> {
        let before = self.errors.len();
        let value = self.read_raw(name);
        if value.is_none() && self.errors.len() == before {
            self.add_error(name, format!("is not set: set it, or {name}_FILE"));
        }
        value
    }

    fn read_file(&mut self, file_name: &str, path: &str) -> Option<String> {
        let read = std::fs::metadata(path).and_then(|metadata| {
            if metadata.len() > MAX_FILE_BYTES {
                return Err(std::io::Error::other("the file is larger than 1 MiB"));
            }
            std::fs::read_to_string(path)
        });
        match read {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()).filter(|text| !text.is_empty()),
            Err(error) => {
                self.add_error(file_name, format!("names a file that cannot be read: {error}"));
                None
            }
        }
    }

    fn parse<T: FromStr<Err: Display>>(&mut self, name: &str) -> Option<T> {
        let text = self.read_raw(name)?;
        self.parse_text(name, &text)
    }

    fn parse_text<T: FromStr<Err: Display>>(&mut self, name: &str, text: &str) -> Option<T> {
        text.trim()
            .parse()
            .map_err(|error| match number_format::<T>() {
                Some(wanted) => self.add_error(name, format!("must be {wanted}")),
                None => self.add_error(name, format!("cannot be read: {error}")),
            })
            .ok()
    }

    fn parse_bytes_if_set(&mut self, name: &str) -> Option<u64> {
        let text = self.read_raw(name)?;
        let parsed = units::parse_bytes(&text);
        if parsed.is_none() {
            self.add_error(
                name,
                "is not a size: write a whole number of bytes, or one with KiB, MiB or GiB, for example 64MiB",
            );
        }
        parsed
    }
}

fn type_kind<T: 'static>() -> VariableKind {
    let id = TypeId::of::<T>();
    let numbers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
    ];
    if numbers.contains(&id) {
        VariableKind::Number
    } else if id == TypeId::of::<SocketAddr>() {
        VariableKind::Address
    } else {
        VariableKind::Text
    }
}
/// What to write for a number. The errors of the standard library mention digits only.
fn number_format<T>() -> Option<String> {
    let name = std::any::type_name::<T>();
    let bits = name.get(1..)?;
    match name.get(..1)? {
        "u" if bits == "size" => Some("a whole number, 0 or more".to_owned()),
        "u" if bits.parse::<u32>().is_ok() => {
            let max = 2_u128
                .checked_pow(bits.parse().ok()?)
                .map_or(u128::MAX, |count| count - 1);
            Some(format!("a whole number from 0 to {max}"))
        }
        "i" if bits.parse::<u32>().is_ok() => Some("a whole number".to_owned()),
        "f" if bits.parse::<u32>().is_ok() => Some("a number".to_owned()),
        _ => None,
    }
}

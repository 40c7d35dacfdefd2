//! The configurable options: all options with a variable.

use clap::{Arg, ArgAction, Command, error::ContextKind};

use super::file::{ConfigFile, ConfigValue};
use crate::opensearch::Lookup;

const PREFIX: &str = "LOGQ_";

/// All options and subcommand options with a variable.
pub struct ConfigurableOptions {
    /// The whole command line.
    pub command: Command,
    arguments: Vec<(String, Arg)>,
}

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValueKind {
    Bool,
    /// A list of texts, or one text.
    List,
    Text,
    /// A number or a text.
    Number,
}

/// The key of an option: `color` for `LOGQ_COLOR`.
fn key(argument: &Arg) -> Option<String> {
    let variable = argument.get_env()?.to_str()?;
    variable.strip_prefix(PREFIX).map(str::to_ascii_lowercase)
}

/// The variable of a key: `LOGQ_OPENSEARCH_URL` for `opensearch.url`.
pub fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

impl ConfigurableOptions {
    pub fn from_command(command: &Command) -> Self {
        let mut arguments = Vec::new();
        collect(command, &mut arguments);
        Self {
            command: command.clone(),
            arguments,
        }
    }

    /// The keys in help order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.arguments.iter().map(|(key, _)| key.as_str())
    }

    pub fn get(&self, key: &str) -> Option<&Arg> {
        self.arguments
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, argument)| argument)
    }

    /// Validates the environment variables.
    pub fn check_environment(&self, environment: &Lookup<'_>, errors: &mut Vec<String>) {
        for (key, argument) in &self.arguments {
            let variable = variable(key);
            let Some(text) = environment(&variable) else {
                continue;
            };
            if let Err(why) = check(argument, &[text]) {
                errors.push(format!("{variable}: {why}"));
            }
        }
    }
}

fn collect(command: &Command, all: &mut Vec<(String, Arg)>) {
    for argument in command.get_arguments() {
        if let Some(key) = key(argument)
            && !all.iter().any(|(known, _)| *known == key)
        {
            all.push((key, argument.clone()));
        }
    }
    for inner in command.get_subcommands() {
        collect(inner, all);
    }
}

pub fn value_kind(argument: &Arg) -> ValueKind {
    let parser = argument.get_value_parser().type_id();
    if parser == std::any::TypeId::of::<bool>() {
        ValueKind::Bool
    } else if matches!(argument.get_action(), ArgAction::Append) {
        ValueKind::List
    } else if parser == std::any::TypeId::of::<usize>() {
        ValueKind::Number
    } else {
        ValueKind::Text
    }
}

/// Validates values as the command line does.
///
/// # Errors
/// The reason.
pub fn check(argument: &Arg, values: &[String]) -> Result<(), String> {
    // Check the option alone, without its conflicts with other options.
    let alone = Arg::new("value")
        .long("value")
        .num_args(1)
        .action(ArgAction::Append)
        .allow_hyphen_values(true)
        .value_parser(argument.get_value_parser().clone());
    let delimiter = argument.get_value_delimiter();
    let command = Command::new("logq").no_binary_name(true).arg(alone);
    let words = values
        .iter()
        .flat_map(|value| match delimiter {
            Some(delimiter) => value.split(delimiter).collect::<Vec<_>>(),
            None => vec![value.as_str()],
        })
        .map(|value| format!("--value={value}"));
    let Err(error) = command.try_get_matches_from(words) else {
        return Ok(());
    };
    let given = values.join(",");
    if let Some(clap::error::ContextValue::Strings(valid)) = error.get(ContextKind::ValidValue)
        && !valid.is_empty()
    {
        return Err(format!("{given:?} is not one of {}", valid.join(", ")));
    }
    let why = std::error::Error::source(&error).map(ToString::to_string);
    Err(match why {
        Some(why) => format!("{given:?}: {why}"),
        None => format!("{given:?} is not a valid value"),
    })
}

/// Applies the file's values as defaults.
pub fn with_defaults(command: Command, file: &ConfigFile) -> Command {
    command
        .mut_args(|argument| {
            let value = key(&argument).and_then(|key| file.get(&key));
            match value {
                Some(value) => argument.default_values(texts(value)),
                None => argument,
            }
        })
        .mut_subcommands(|inner| with_defaults(inner, file))
}

/// The values as typed on the command line.
pub fn texts(value: &ConfigValue) -> Vec<String> {
    match value {
        ConfigValue::Bool(value) => vec![value.to_string()],
        ConfigValue::Text(text) => vec![text.clone()],
        ConfigValue::List(texts) => texts.clone(),
    }
}

//! Colours, or none.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};

use crate::cli::Colour;

/// What stands out, and how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Times, names of fields, lines around those that were found.
    pub dim: Style,
    /// Whose line it is.
    pub component: Style,
    /// Texts of people.
    pub message: Style,
    error: Style,
    warn: Style,
    info: Style,
    debug: Style,
}

impl Palette {
    /// No colours.
    pub const NONE: Self = Self {
        dim: Style::new(),
        component: Style::new(),
        message: Style::new(),
        error: Style::new(),
        warn: Style::new(),
        info: Style::new(),
        debug: Style::new(),
    };

    /// The sixteen colours that every terminal has, in the terminal's theme.
    pub const TERMINAL: Self = Self {
        dim: Style::new().dimmed(),
        component: AnsiColor::Cyan.on_default(),
        message: Style::new().bold(),
        error: AnsiColor::Red.on_default().bold(),
        warn: AnsiColor::Yellow.on_default().bold(),
        info: AnsiColor::Green.on_default(),
        debug: AnsiColor::Blue.on_default(),
    };

    /// What standard output can show, unless a person says otherwise.
    ///
    /// `NO_COLOR` counts as <https://no-color.org> has it: set, and not empty.
    #[must_use]
    pub fn from_option(colour: Colour) -> Self {
        let coloured = match colour {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => {
                io::stdout().is_terminal()
                    && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            }
        };
        if coloured { Self::TERMINAL } else { Self::NONE }
    }

    /// A level's.
    #[must_use]
    pub fn level(&self, level: Option<&str>) -> Style {
        match level {
            Some(schema::level::ERROR) => self.error,
            Some(schema::level::WARN) => self.warn,
            Some(schema::level::INFO) => self.info,
            Some(_) => self.debug,
            None => self.dim,
        }
    }
}

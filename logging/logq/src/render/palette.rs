//! The colours of the output.

use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

/// Whether to colour the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// The styles of the parts of a line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Palette {
    /// Times, field names and context lines.
    pub dim: Style,
    pub component: Style,
    pub message: Style,
    error: Style,
    warn: Style,
    info: Style,
    debug: Style,
}

impl Palette {
    pub const NONE: Self = Self {
        dim: Style::new(),
        component: Style::new(),
        message: Style::new(),
        error: Style::new(),
        warn: Style::new(),
        info: Style::new(),
        debug: Style::new(),
    };

    /// The terminal's sixteen colours.
    pub const TERMINAL: Self = Self {
        dim: Style::new().dimmed(),
        component: AnsiColor::Cyan.on_default(),
        message: Style::new().bold(),
        error: AnsiColor::Red.on_default().bold(),
        warn: AnsiColor::Yellow.on_default().bold(),
        info: AnsiColor::Green.on_default(),
        debug: AnsiColor::Blue.on_default(),
    };

    /// The palette for standard output.
    ///
    /// With `auto`, `NO_COLOR` disables colours if it is set and not empty (<https://no-color.org>).
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

//! What the detector reports about a photo.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::media::MAX_SIDE;

/// A kind of thing that the detector can find and the worker can hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// A whole person.
    Person,
    /// A face, its box grown to the head.
    Face,
    /// A bicycle.
    Bicycle,
    /// A car.
    Car,
    /// A motorcycle.
    Motorcycle,
    /// A bus.
    Bus,
    /// A truck.
    Truck,
}

impl Class {
    /// Every class, in a fixed order.
    pub const ALL: [Self; 7] = [
        Self::Person,
        Self::Face,
        Self::Bicycle,
        Self::Car,
        Self::Motorcycle,
        Self::Bus,
        Self::Truck,
    ];

    /// The name in messages, logs, metrics and settings.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Face => "face",
            Self::Bicycle => "bicycle",
            Self::Car => "car",
            Self::Motorcycle => "motorcycle",
            Self::Bus => "bus",
            Self::Truck => "truck",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("classes are person, face, bicycle, car, motorcycle, bus, truck")]
pub struct UnknownClass;

impl FromStr for Class {
    type Err = UnknownClass;

    fn from_str(name: &str) -> Result<Self, UnknownClass> {
        Self::ALL
            .into_iter()
            .find(|class| class.name() == name)
            .ok_or(UnknownClass)
    }
}

/// One thing found: its box in pixels of the anonymised photo (EXIF
/// orientation applied), origin at the top left, as it was obscured.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detection {
    /// What it is.
    pub class: Class,
    /// The detector's score, 0 to 1.
    pub score: f32,
    /// Left edge, pixels.
    pub x: u32,
    /// Top edge, pixels.
    pub y: u32,
    /// Width, pixels.
    pub width: u32,
    /// Height, pixels.
    pub height: u32,
}

impl Detection {
    /// Whether the score is one, and no edge lies beyond the longest side of
    /// a JPEG.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        let edges = [self.x, self.y, self.width, self.height];
        (0.0..=1.0).contains(&self.score) && edges.into_iter().all(|edge| edge <= MAX_SIDE)
    }
}

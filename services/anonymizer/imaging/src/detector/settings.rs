//! What is looked for, how hard, and how much around it is hidden.

use std::{collections::BTreeSet, fmt, str::FromStr};

use contract::Class;

use super::boxes::Growth;

/// How much time is spent on a photo: see [`Scales`] for what it stands for,
/// and docs/detector.md for what it brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// Twice the pixels: for photos in which people are very small.
    Thorough,
    /// All that was measured to help with heads of 20 pixels and more.
    #[default]
    Balanced,
    /// Half the pixels: for people who are close by.
    Fast,
}

/// The text names no effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("efforts are thorough, balanced, fast")]
pub struct UnknownEffort;

impl FromStr for Effort {
    type Err = UnknownEffort;

    fn from_str(name: &str) -> Result<Self, UnknownEffort> {
        [Self::Thorough, Self::Balanced, Self::Fast]
            .into_iter()
            .find(|effort| effort.to_string() == name)
            .ok_or(UnknownEffort)
    }
}

impl fmt::Display for Effort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thorough => "thorough",
            Self::Balanced => "balanced",
            Self::Fast => "fast",
        })
    }
}

/// At which scales a photo is looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Megapixels of the networks' inputs that the fine look may take, borders
    /// and overlaps included.
    pub fine_megapixels: f32,
    /// The fine look never shows the photo smaller than this: 0.4 leaves 24
    /// pixels of a person of 60.
    pub least_scale: f32,
    /// Megapixels of the networks' inputs that the coarse look may take.
    pub coarse_megapixels: f32,
    /// Megapixels of each of the four looks, one after each quarter turn, that
    /// tell how the photo hangs; 0 for a photo that surely is upright.
    pub turned_megapixels: f32,
    /// Megapixels of the networks' inputs that the second look at unsure
    /// candidates may take; 0 for none: then all of them count.
    pub second_look_megapixels: f32,
    /// Megapixels of the networks' inputs that the check of the obscured picture
    /// may take; 0 for no check.
    pub check_megapixels: f32,
}

/// From which score on something counts. Small things score lower, seen as
/// surely: so they are believed more easily. A false hit among them costs
/// few pixels. In between the score rises evenly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Lowest score of large things, 0 to 1.
    pub large: f32,
    /// Lowest score of small things, 0 to 1.
    pub small: f32,
    /// What counts as small: height in pixels of the networks' input.
    pub small_height: f32,
    /// From which height on something counts as large.
    pub large_height: f32,
}

impl Threshold {
    /// The same for all sizes.
    #[must_use]
    pub const fn flat(score: f32) -> Self {
        Self {
            large: score,
            small: score,
            small_height: 0.0,
            large_height: 0.0,
        }
    }

    /// For a thing of this height.
    pub(super) fn at(&self, height: f32) -> f32 {
        if height <= self.small_height {
            self.small
        } else if height < self.large_height {
            let share = (height - self.small_height) / (self.large_height - self.small_height);
            share.mul_add(self.large - self.small, self.small)
        } else {
            self.large
        }
    }

    /// No thing of any size needs less.
    pub(super) const fn least(&self) -> f32 {
        self.large.min(self.small)
    }
}

/// Settings of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectSettings {
    /// What is looked for.
    pub classes: BTreeSet<Class>,
    /// When something is a person.
    pub person: Threshold,
    /// When something is a face.
    pub face: Threshold,
    /// When something is a vehicle.
    pub vehicle: Threshold,
    /// Lowest score of a vehicle that fills more than 6 % of the photo and does
    /// not look like a car: construction machines are taken for trucks.
    pub large_vehicle: f32,
    /// Boxes of one class that overlap by more than this share (intersection
    /// over union) are one object, which is reported once.
    pub same_iou: f32,
    /// What is added to a person's box: helmets stand out of it.
    pub person_growth: Growth,
    /// What is added to a face's box, which goes from brows to chin, to hide
    /// the head.
    pub face_growth: Growth,
    /// What is added to a vehicle's box.
    pub vehicle_growth: Growth,
    /// How much time is spent.
    pub scales: Scales,
}

impl Default for DetectSettings {
    /// The settings that docs/detector.md measures.
    fn default() -> Self {
        Self {
            classes: [
                Class::Person,
                Class::Face,
                Class::Car,
                Class::Bus,
                Class::Truck,
                Class::Motorcycle,
            ]
            .into(),
            person: Threshold {
                large: 0.30,
                small: 0.10,
                small_height: 32.0,
                large_height: 128.0,
            },
            face: Threshold::flat(0.15),
            vehicle: Threshold {
                large: 0.40,
                small: 0.20,
                small_height: 48.0,
                large_height: 128.0,
            },
            large_vehicle: 0.7,
            same_iou: 0.45,
            person_growth: Growth {
                top: 0.1,
                sides: 0.03,
                bottom: 0.0,
            },
            face_growth: Growth {
                top: 0.7,
                sides: 0.5,
                bottom: 0.25,
            },
            vehicle_growth: Growth {
                top: 0.02,
                sides: 0.02,
                bottom: 0.02,
            },
            scales: Effort::default().scales(),
        }
    }
}

impl DetectSettings {
    pub(super) const fn threshold(&self, class: Class) -> &Threshold {
        match class {
            Class::Person => &self.person,
            Class::Face => &self.face,
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => &self.vehicle,
        }
    }

    pub(super) const fn growth(&self, class: Class) -> &Growth {
        match class {
            Class::Person => &self.person_growth,
            Class::Face => &self.face_growth,
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => {
                &self.vehicle_growth
            }
        }
    }
}

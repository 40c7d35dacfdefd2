//! What is looked for, how hard, and how much around it is hidden.

use std::{collections::BTreeSet, str::FromStr};

use contract::Class;

use super::{boxes::Growth, nanodet::Wanted};

/// How much time is spent on a photo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// As much as helps.
    #[default]
    Thorough,
    /// About half of that.
    Balanced,
    /// Little.
    Fast,
}

/// The text names no effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("efforts are thorough, balanced, fast")]
pub struct UnknownEffort;

impl FromStr for Effort {
    type Err = UnknownEffort;

    fn from_str(name: &str) -> Result<Self, UnknownEffort> {
        match name {
            "thorough" => Ok(Self::Thorough),
            "balanced" => Ok(Self::Balanced),
            "fast" => Ok(Self::Fast),
            _ => Err(UnknownEffort),
        }
    }
}

/// Settings of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectSettings {
    /// What is looked for.
    pub classes: BTreeSet<Class>,
    /// Lowest score of a person, 0 to 1.
    pub person_threshold: f32,
    /// Lowest score of a face, 0 to 1.
    pub face_threshold: f32,
    /// Lowest score of a vehicle, 0 to 1.
    pub vehicle_threshold: f32,
    /// Boxes of one class that overlap by more than this share (intersection
    /// over union) are one thing.
    pub same_iou: f32,
    /// What is added to a person's box.
    pub person_growth: Growth,
    /// What is added to a face's box.
    pub face_growth: Growth,
    /// What is added to a vehicle's box.
    pub vehicle_growth: Growth,
    /// How much time is spent.
    pub effort: Effort,
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
            person_threshold: 0.30,
            face_threshold: 0.20,
            vehicle_threshold: 0.35,
            same_iou: 0.6,
            person_growth: Growth {
                top: 0.15,
                sides: 0.15,
                bottom: 0.05,
            },
            face_growth: Growth {
                top: 0.7,
                sides: 0.5,
                bottom: 0.25,
            },
            vehicle_growth: Growth {
                top: 0.05,
                sides: 0.05,
                bottom: 0.05,
            },
            effort: Effort::default(),
        }
    }
}

/// People would stay recognisable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("without both person and face, people stay recognisable (ALLOW_PARTIAL=1 allows it)")]
pub struct PartialDetection;

impl DetectSettings {
    /// Refuses settings that leave people or faces in the photo.
    ///
    /// # Errors
    /// When `person` or `face` is missing.
    pub fn complete(&self) -> Result<(), PartialDetection> {
        if self.classes.contains(&Class::Person) && self.classes.contains(&Class::Face) {
            Ok(())
        } else {
            Err(PartialDetection)
        }
    }

    pub(super) fn wanted(&self) -> Wanted {
        let thresholds = self.classes.iter().filter_map(|&class| match class {
            Class::Person => Some((class, self.person_threshold)),
            Class::Face => None,
            Class::Bicycle | Class::Car | Class::Motorcycle | Class::Bus | Class::Truck => {
                Some((class, self.vehicle_threshold))
            }
        });
        Wanted(thresholds.collect())
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

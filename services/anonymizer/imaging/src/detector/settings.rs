//! Settings of the detector: classes, thresholds, margins and effort.

use std::collections::BTreeSet;

use super::boxes::Margins;
use crate::{Class, ClassGroup};

/// The time spent on a photo. [`Effort::scales`] has the budgets, docs/detector.md their effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, strum::Display, strum::EnumString)]
#[strum(serialize_all = "lowercase", parse_err_ty = UnknownEffort, parse_err_fn = unknown_effort)]
pub enum Effort {
    /// Twice the pixels: for photos in which people are very small.
    Thorough,
    /// All scales that measurably help to find heads of 20 pixels and more.
    #[default]
    Balanced,
    /// Half the pixels: for people close to the camera.
    Fast,
}

/// The text is not an effort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("efforts are thorough, balanced, fast")]
pub struct UnknownEffort;

const fn unknown_effort(_: &str) -> UnknownEffort {
    UnknownEffort
}

/// Scales and budgets of the passes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scales {
    /// Budget of the fine pass, megapixels of the networks' inputs, borders and overlaps included.
    pub fine_megapixels: f32,
    /// Minimum scale of the fine pass: 0.4 leaves 24 pixels of a person of 60.
    pub min_scale: f32,
    /// Budget of the coarse pass, megapixels.
    pub coarse_megapixels: f32,
    /// Budget of each of the four passes, one per quarter turn, that find the photo's rotation, megapixels; 0: the photo
    /// is upright.
    pub rotated_megapixels: f32,
    /// Budget of the second look at unsure candidates, megapixels; 0: no second look, all of them count.
    pub second_look_megapixels: f32,
    /// Budget of the check of the obscured picture, megapixels; 0: no check.
    pub check_megapixels: f32,
}

/// Minimum scores by size. Small objects have lower scores, and a false positive among them costs few pixels. Between
/// the two heights, the minimum rises linearly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Minimum score of large objects, 0 to 1.
    pub large: f32,
    /// Minimum score of small objects, 0 to 1.
    pub small: f32,
    /// Maximum height of a small object, pixels of the networks' input.
    pub small_height: f32,
    /// Minimum height of a large object.
    pub large_height: f32,
}

impl Threshold {
    /// The same minimum for all sizes.
    #[must_use]
    pub const fn flat(score: f32) -> Self {
        Self {
            large: score,
            small: score,
            small_height: 0.0,
            large_height: 0.0,
        }
    }

    /// The minimum score of an object of this height.
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

    /// The minimum score of an object of any height.
    pub(super) const fn min(&self) -> f32 {
        self.large.min(self.small)
    }
}

/// Settings of the detector.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectSettings {
    pub classes: BTreeSet<Class>,
    pub person: Threshold,
    pub face: Threshold,
    pub vehicle: Threshold,
    /// Minimum score of a vehicle that fills more than 6 % of the photo and does not look like a car: construction
    /// machines look like trucks.
    pub large_vehicle: f32,
    /// Boxes of one class that overlap by more (intersection over union) are one object, which is reported once.
    pub same_iou: f32,
    /// Includes helmets, which stand out of the box.
    pub person_margins: Margins,
    /// A face's box reaches from the brows to the chin; the margins cover the head.
    pub face_margins: Margins,
    pub vehicle_margins: Margins,
    pub scales: Scales,
}

impl Default for DetectSettings {
    /// The settings that docs/detector.md measures.
    fn default() -> Self {
        Self {
            classes: Class::ALL
                .iter()
                .copied()
                .filter(|class| class.is_default())
                .collect(),
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
            person_margins: Margins {
                top: 0.1,
                sides: 0.03,
                bottom: 0.0,
            },
            face_margins: Margins {
                top: 0.7,
                sides: 0.5,
                bottom: 0.25,
            },
            vehicle_margins: Margins {
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
        match class.group() {
            ClassGroup::Person => &self.person,
            ClassGroup::Face => &self.face,
            ClassGroup::Vehicle => &self.vehicle,
        }
    }

    pub(super) const fn margins(&self, class: Class) -> &Margins {
        match class.group() {
            ClassGroup::Person => &self.person_margins,
            ClassGroup::Face => &self.face_margins,
            ClassGroup::Vehicle => &self.vehicle_margins,
        }
    }
}

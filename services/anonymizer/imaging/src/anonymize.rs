//! The one way from a photo as it came to a photo that may be seen.

use std::time::Instant;

use contract::{Class, Detection, FailureReason};
use serde::{Deserialize, Serialize};

use crate::{
    detector::{DetectSettings, Detector, DetectorError, Found, MAX_COMPARED, Rect, SecondLook, Stop},
    obscure::{Modes, Region, obscure_until},
    picture::{self, DecodeError, EncodeError, Limits, Picture},
};

/// So many things are told of at most: a result has to fit into a message.
/// What is hidden has no such limit.
pub const MAX_DETECTIONS: usize = 1000;

/// Longest short side of a face, its margins included, in a person's box that shows more than a
/// head; share of the person's short side.
const LARGEST_FACE: f32 = 2.0 / 3.0;

/// Everything that decides how a photo is anonymised.
#[derive(Clone, Debug, PartialEq)]
pub struct AnonymizeSettings {
    /// What a photo may cost.
    pub limits: Limits,
    /// What is looked for.
    pub detect: DetectSettings,
    /// What obscured objects look like, by class.
    pub modes: Modes,
    /// Quality of the JPEG, libjpeg's 1 to 100.
    pub jpeg_quality: u8,
}

impl Default for AnonymizeSettings {
    fn default() -> Self {
        Self {
            limits: Limits {
                bytes: 64 * 1024 * 1024,
                pixels: 100_000_000,
            },
            detect: DetectSettings::default(),
            modes: Modes::default(),
            jpeg_quality: 90,
        }
    }
}

/// A photo that may be seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Anonymized {
    /// The file: pixels and colour profile, nothing else.
    pub jpeg: Vec<u8>,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// What was found, each thing once, best first, and where it was hidden;
    /// [`MAX_DETECTIONS`] at most.
    pub detections: Vec<Detection>,
    /// What the detector's own checks came to.
    pub checks: Checks,
    /// Where the time went.
    pub seconds: Seconds,
}

/// What the detector's own checks came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    /// What became of unsure candidates.
    pub second_look: SecondLook,
    /// People and faces that were visible in the obscured photo, and were then hidden.
    pub still_visible: u32,
}

/// Wall time by stage, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Seconds {
    /// Bytes to upright pixels.
    pub decode: f64,
    /// Looking for people, faces, vehicles.
    pub detect: f64,
    /// Replacing pixels.
    pub obscure: f64,
    /// Looking at the obscured photo.
    pub check: f64,
    /// Pixels to JPEG.
    pub encode: f64,
}

impl Seconds {
    /// Each stage's name and seconds, in order.
    #[must_use]
    pub const fn by_stage(&self) -> [(&'static str, f64); 5] {
        [
            ("decode", self.decode),
            ("detect", self.detect),
            ("obscure", self.obscure),
            ("check", self.check),
            ("encode", self.encode),
        ]
    }
}

/// Why a photo was not anonymised. The texts hold nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum AnonymizeError {
    /// It cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It cannot be judged.
    #[error(transparent)]
    Detect(#[from] DetectorError),
    /// It cannot be written.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl AnonymizeError {
    /// The verdict that this error is.
    #[must_use]
    pub const fn reason(&self) -> FailureReason {
        match self {
            Self::Decode(error) => error.reason(),
            Self::Detect(_) | Self::Encode(_) => FailureReason::ProcessingError,
        }
    }
}

/// Decodes a photo, hides what the detector finds, looks at the result once more,
/// and encodes it anew.
/// Keeps one thread busy for 0.2 to 2 seconds; for 100 megapixels, for 15.
///
/// # Errors
/// Whenever there is any doubt about the photo: see [`AnonymizeError`].
pub fn anonymize(
    bytes: &[u8],
    settings: &AnonymizeSettings,
    detector: &Detector,
) -> Result<Anonymized, AnonymizeError> {
    anonymize_until(bytes, settings, detector, &Stop::default())
}

/// The same, until `stop` is set.
///
/// # Errors
/// As [`anonymize`], and when `stop` is set.
pub fn anonymize_until(
    bytes: &[u8],
    settings: &AnonymizeSettings,
    detector: &Detector,
    stop: &Stop,
) -> Result<Anonymized, AnonymizeError> {
    let mut seconds = Seconds::default();
    let mut picture = timed(&mut seconds.decode, || picture::decode(bytes, &settings.limits))?;
    let detected = timed(&mut seconds.detect, || {
        detector.detect_until(&picture, &settings.detect, stop)
    })?;
    let objects = detected.objects;
    let mut detections = timed(&mut seconds.obscure, || {
        hide(&objects, &mut picture, settings, stop)
    })?;
    let hidden: Vec<Rect> = objects.iter().map(|object| object.rect).collect();
    let visible = timed(&mut seconds.check, || {
        detector.visible_until(&picture, &hidden, &settings.detect, stop)
    })?;
    detections.extend(hide(&visible, &mut picture, settings, stop)?);
    detections.sort_by(|a, b| b.score.total_cmp(&a.score));
    detections.truncate(MAX_DETECTIONS);
    let jpeg = timed(&mut seconds.encode, || {
        picture::encode(&picture, settings.jpeg_quality)
    })?;
    Ok(Anonymized {
        jpeg,
        width: picture.width,
        height: picture.height,
        detections,
        checks: Checks {
            second_look: detected.second_look,
            still_visible: u32::try_from(visible.len()).unwrap_or(u32::MAX),
        },
        seconds,
    })
}

/// Obscures objects. Returns those that are reported.
fn hide(
    objects: &[Found],
    picture: &mut Picture,
    settings: &AnonymizeSettings,
    stop: &Stop,
) -> Result<Vec<Detection>, DetectorError> {
    let (width, height) = (picture.width, picture.height);
    let regions = regions(objects, width, height, settings.modes);
    if !obscure_until(&mut picture.pixels, width, height, &regions, || stop.is_set()) {
        return Err(DetectorError::Stopped);
    }
    let reported = objects.iter().filter(|object| !object.is_repeated);
    Ok(reported
        .filter_map(|object| inside(object, width, height))
        .collect())
}

/// The regions that hide these objects in a picture of this size.
#[must_use]
pub fn regions(objects: &[Found], width: u32, height: u32, modes: Modes) -> Vec<Region> {
    let is_compared = objects.len() <= MAX_COMPARED;
    let region = |object: &Found| {
        let detection = inside(object, width, height)?;
        let whole = [object.rect.width(), object.rect.height()];
        let has_face = is_compared && object.class == Class::Person && has_face(&object.rect, objects);
        Some(Region::for_part(&detection, whole, has_face, modes))
    };
    objects.iter().filter_map(region).collect()
}

/// Whether a face lies in a person's box that is clearly larger.
fn has_face(person: &Rect, objects: &[Found]) -> bool {
    let short_side = |rect: &Rect| rect.width().min(rect.height());
    objects.iter().any(|object| {
        object.class == Class::Face
            && person.contains_center(&object.rect)
            && short_side(&object.rect) <= LARGEST_FACE * short_side(person)
    })
}

fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    *seconds += begin.elapsed().as_secs_f64();
    result
}

/// The part of a box that lies in the picture, in whole pixels; `None` where
/// that is nothing.
fn inside(found: &Found, width: u32, height: u32) -> Option<Detection> {
    let low = |edge: f32, side: u32| edge.floor().clamp(0.0, side as f32) as u32;
    let high = |edge: f32, side: u32| edge.ceil().clamp(0.0, side as f32) as u32;
    let (x, y) = (low(found.rect.left, width), low(found.rect.top, height));
    let (right, bottom) = (high(found.rect.right, width), high(found.rect.bottom, height));
    (x < right && y < bottom).then(|| Detection {
        class: found.class,
        // A network may round beyond.
        score: found.score.clamp(0.0, 1.0),
        x,
        y,
        width: right - x,
        height: bottom - y,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: Class, [left, top, right, bottom]: [f32; 4]) -> Found {
        Found {
            class,
            score: 0.9,
            rect: Rect {
                left,
                top,
                right,
                bottom,
            },
            is_repeated: false,
        }
    }

    fn cells(objects: &[Found]) -> Vec<u32> {
        let regions = regions(objects, 1000, 1000, Modes::default());
        regions.iter().map(Region::cell).collect()
    }

    #[test]
    fn cells_follow_from_all_of_an_object() {
        let cut_off = found(Class::Person, [-180.0, 100.0, 60.0, 700.0]);
        assert_eq!(cells(&[cut_off]), [20]);
    }

    #[test]
    fn a_clearly_smaller_face_makes_a_person_more_than_a_head() {
        let person = found(Class::Person, [100.0, 100.0, 340.0, 340.0]);
        let face = |side: f32| found(Class::Face, [150.0, 110.0, 150.0 + side, 110.0 + side]);
        assert_eq!(cells(&[person]), [30]);
        assert_eq!(cells(&[person, face(80.0)]), [20, 10]);
        assert_eq!(cells(&[person, face(180.0)]), [30, 23]);
        let elsewhere = found(Class::Face, [500.0, 500.0, 580.0, 580.0]);
        assert_eq!(cells(&[person, elsewhere]), [30, 10]);
    }

    #[test]
    fn hiding_ends_when_it_is_stopped() {
        let mut picture = Picture {
            width: 100,
            height: 100,
            pixels: vec![0; 30_000],
            grey: false,
            icc: None,
        };
        let person = found(Class::Person, [10.0, 10.0, 50.0, 90.0]);
        let stop = Stop::default();
        let settings = AnonymizeSettings::default();
        assert_eq!(hide(&[person], &mut picture, &settings, &stop).unwrap().len(), 1);
        stop.set();
        let stopped = hide(&[person], &mut picture, &settings, &stop);
        assert!(matches!(stopped, Err(DetectorError::Stopped)));
    }
}

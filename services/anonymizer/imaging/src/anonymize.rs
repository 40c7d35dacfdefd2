//! Turns an original into an anonymised photo. No other code does.

use std::time::Instant;

use contract::{Detection, FailureReason};
use serde::{Deserialize, Serialize};

use crate::{
    Class,
    detector::{
        DetectSettings, DetectedObject, Detector, DetectorError, MAX_COMPARED, Rect, SecondLook, Stop,
    },
    obscure::{ObscureModes, PixelRect, Region, obscure_until},
    picture::{self, DecodeError, DecodeLimits, EncodeError, Picture},
};

/// Maximum number of reported objects, because a result must fit into a message. The number of hidden objects has no
/// limit.
pub const MAX_DETECTIONS: usize = 1000;

/// A person's box shows more than a head if it contains a face whose short side, with margins, is at most this share of
/// the box's short side.
const LARGEST_FACE: f32 = 2.0 / 3.0;

#[derive(Clone, Debug, PartialEq)]
pub struct AnonymizeSettings {
    pub limits: DecodeLimits,
    pub detect: DetectSettings,
    pub modes: ObscureModes,
    /// libjpeg's quality, 1 to 100.
    pub jpeg_quality: u8,
}

impl Default for AnonymizeSettings {
    fn default() -> Self {
        Self {
            limits: DecodeLimits {
                bytes: 64 * 1024 * 1024,
                pixels: 100_000_000,
            },
            detect: DetectSettings::default(),
            modes: ObscureModes::default(),
            jpeg_quality: 90,
        }
    }
}

/// An anonymised photo.
#[derive(Clone, Debug, PartialEq)]
pub struct Anonymized {
    /// The file: pixels and colour profile, no other metadata.
    pub jpeg: Vec<u8>,
    /// Width in pixels, upright.
    pub width: u32,
    /// Height in pixels, upright.
    pub height: u32,
    /// The hidden objects, each once, best first, at most [`MAX_DETECTIONS`].
    pub detections: Vec<Detection>,
    pub checks: Checks,
    pub seconds: StageSeconds,
}

/// Results of the detector's own checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    pub second_look: SecondLook,
    /// People and faces that were visible in the obscured photo, and were then hidden.
    pub still_visible: u32,
}

/// Wall time by stage, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct StageSeconds {
    /// Bytes to upright pixels.
    pub decode: f64,
    /// Detecting objects.
    pub detect: f64,
    pub obscure: f64,
    /// Checking the obscured photo.
    pub check: f64,
    /// Pixels to JPEG.
    pub encode: f64,
}

impl StageSeconds {
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

/// Why a photo was not anonymised. The texts contain nothing of its content.
#[derive(Debug, thiserror::Error)]
pub enum AnonymizeError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Detect(#[from] DetectorError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl AnonymizeError {
    /// The reason in the verdict on the photo.
    #[must_use]
    pub const fn reason(&self) -> FailureReason {
        match self {
            Self::Decode(error) => error.reason(),
            Self::Detect(_) | Self::Encode(_) => FailureReason::ProcessingError,
        }
    }
}

/// Decodes a photo, obscures the detected objects, checks the result, and encodes it. Occupies one thread for 0.2 to 2
/// seconds; for 15 with 100 megapixels.
///
/// # Errors
/// Any doubt about the photo is an [`AnonymizeError`].
pub fn anonymize(
    bytes: &[u8],
    settings: &AnonymizeSettings,
    detector: &Detector,
) -> Result<Anonymized, AnonymizeError> {
    anonymize_until(bytes, settings, detector, &Stop::default())
}

/// Like [`anonymize`], but ends when `stop` is set.
///
/// # Errors
/// As [`anonymize`], and if `stop` is set.
pub fn anonymize_until(
    bytes: &[u8],
    settings: &AnonymizeSettings,
    detector: &Detector,
    stop: &Stop,
) -> Result<Anonymized, AnonymizeError> {
    let mut seconds = StageSeconds::default();
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

/// Obscures objects. Returns the reported ones.
fn hide(
    objects: &[DetectedObject],
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
    let detection = |object: &DetectedObject| {
        let rect = visible_part(&object.rect, width, height)?;
        Some(Detection {
            class: object.class.name().to_owned(),
            // A network's rounding may exceed 1.
            score: object.score.clamp(0.0, 1.0),
            x: rect.x,
            y: rect.y,
            width: rect.width,
            height: rect.height,
        })
    };
    Ok(reported.filter_map(detection).collect())
}

/// The regions that obscure these objects in a picture of this size.
#[must_use]
pub fn regions(objects: &[DetectedObject], width: u32, height: u32, modes: ObscureModes) -> Vec<Region> {
    let is_compared = objects.len() <= MAX_COMPARED;
    let region = |object: &DetectedObject| {
        let rect = visible_part(&object.rect, width, height)?;
        let whole = [object.rect.width(), object.rect.height()];
        let has_face = is_compared && object.class == Class::Person && has_face(&object.rect, objects);
        Some(Region::for_part(object.class, rect, whole, has_face, modes))
    };
    objects.iter().filter_map(region).collect()
}

/// Whether a face lies in a person's box that is clearly larger.
fn has_face(person: &Rect, objects: &[DetectedObject]) -> bool {
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

/// The part of a box inside the picture, in whole pixels; `None` if there is none.
fn visible_part(rect: &Rect, width: u32, height: u32) -> Option<PixelRect> {
    let low = |edge: f32, side: u32| edge.floor().clamp(0.0, side as f32) as u32;
    let high = |edge: f32, side: u32| edge.ceil().clamp(0.0, side as f32) as u32;
    let (x, y) = (low(rect.left, width), low(rect.top, height));
    let (right, bottom) = (high(rect.right, width), high(rect.bottom, height));
    (x < right && y < bottom).then(|| PixelRect {
        x,
        y,
        width: right - x,
        height: bottom - y,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(class: Class, [left, top, right, bottom]: [f32; 4]) -> DetectedObject {
        DetectedObject {
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

    fn cells(objects: &[DetectedObject]) -> Vec<u32> {
        let regions = regions(objects, 1000, 1000, ObscureModes::default());
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

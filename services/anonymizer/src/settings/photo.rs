//! The variables that decide how a photo is anonymised.

use std::{collections::BTreeSet, fmt, str::FromStr};

use chassis::settings::Reader;
use contract::{Class, detection::UnknownClass};
use imaging::{
    AnonymizeSettings,
    detector::{DetectSettings, Effort, Scales, Threshold},
    obscure::{Mode, Modes},
    picture::Limits,
};

/// People would stay recognisable.
const PARTIAL: &str = "without person or face, people stay recognisable; set ALLOW_PARTIAL=1 to allow that";

/// Reads all variables that concern the photo itself.
pub(super) fn read(reader: &mut Reader<'_>) -> AnonymizeSettings {
    let default = AnonymizeSettings::default();
    let limits = Limits {
        bytes: reader.bytes(
            "MAX_UPLOAD_BYTES",
            default.limits.bytes,
            "the largest photo that is accepted",
        ),
        pixels: reader.parsed(
            "MAX_PIXELS",
            default.limits.pixels,
            "the largest photo that is accepted, in pixels",
        ),
    };
    let detect = detect(reader, default.detect);
    let modes = modes(reader);
    let jpeg_quality = reader.parsed(
        "JPEG_QUALITY",
        default.jpeg_quality,
        "quality of the anonymised JPEG, 1 to 100",
    );
    if !(1..=100).contains(&jpeg_quality) {
        reader.mistake("JPEG_QUALITY", "is a whole number from 1 to 100");
    }
    AnonymizeSettings {
        limits,
        detect,
        modes,
        jpeg_quality,
    }
}

fn modes(reader: &mut Reader<'_>) -> Modes {
    let all = reader.parsed(
        "OBSCURE_MODE",
        Mode::default(),
        "what hidden areas look like: mosaic, blur or solid; none of them can be undone",
    );
    let mut class = |name: &str, what: &str| {
        reader
            .parsed_optional(
                name,
                &format!("what hidden {what} look like; `OBSCURE_MODE` if not set"),
            )
            .unwrap_or(all)
    };
    Modes {
        person: class("PERSON_MODE", "people"),
        face: class("FACE_MODE", "faces"),
        vehicle: class("VEHICLE_MODE", "vehicles"),
    }
}

fn detect(reader: &mut Reader<'_>, default: DetectSettings) -> DetectSettings {
    let classes = classes(reader, &default.classes);
    let person = threshold(reader, "PERSON", default.person, "a person");
    let face = threshold(reader, "FACE", default.face, "a face");
    let vehicle = threshold(reader, "VEHICLE", default.vehicle, "a vehicle");
    let Share(large_vehicle) = reader.parsed(
        "LARGE_VEHICLE_THRESHOLD",
        Share(default.large_vehicle),
        "lowest score of a vehicle that fills more than 6 % of the photo and looks like no car: construction machines are taken for trucks; 0 hides them too",
    );
    let scales = scales(reader);
    let person_growth = reader.parsed(
        "PERSON_MARGIN",
        default.person_growth,
        "what is hidden around a person's box, shares of its height, width, height: top,sides,bottom",
    );
    let face_growth = reader.parsed(
        "FACE_MARGIN",
        default.face_growth,
        "what is hidden around a face's box, which goes from brows to chin: top,sides,bottom",
    );
    let vehicle_growth = reader.parsed(
        "VEHICLE_MARGIN",
        default.vehicle_growth,
        "what is hidden around a vehicle's box: top,sides,bottom",
    );
    DetectSettings {
        classes,
        person,
        face,
        vehicle,
        large_vehicle,
        scales,
        person_growth,
        face_growth,
        vehicle_growth,
        ..default
    }
}

fn classes(reader: &mut Reader<'_>, default: &BTreeSet<Class>) -> BTreeSet<Class> {
    let Classes(classes) = reader.parsed(
        "CLASSES",
        Classes(default.clone()),
        "what is hidden: of person, face, bicycle, car, motorcycle, bus, truck",
    );
    let partial = reader.flag("ALLOW_PARTIAL", "allows CLASSES without person or face");
    let complete = classes.contains(&Class::Person) && classes.contains(&Class::Face);
    if !complete && !partial {
        reader.mistake("CLASSES", PARTIAL);
    }
    classes
}

fn threshold(reader: &mut Reader<'_>, name: &str, default: Threshold, what: &str) -> Threshold {
    let Share(large) = reader.parsed(
        &format!("{name}_THRESHOLD"),
        Share(default.large),
        &format!("lowest score of {what}"),
    );
    let Share(small) = reader.parsed(
        &format!("SMALL_{name}_THRESHOLD"),
        Share(default.small),
        &format!("lowest score of {what} that is small in the photo; small ones score lower"),
    );
    Threshold {
        large,
        small,
        ..default
    }
}

fn scales(reader: &mut Reader<'_>) -> Scales {
    let effort: Effort = reader.parsed(
        "DETECTOR_EFFORT",
        Effort::default(),
        "how closely photos are looked at: thorough, balanced or fast (docs/detector.md)",
    );
    let scales = effort.scales();
    let fine = reader.parsed_optional::<f32>(
        "DETECTOR_MEGAPIXELS",
        "megapixels that a photo is enlarged or reduced to for the detector, 0.1 to 100; the rest follows `DETECTOR_EFFORT`",
    );
    if fine.is_some_and(|megapixels| !(0.1..=100.0).contains(&megapixels)) {
        reader.mistake("DETECTOR_MEGAPIXELS", "is a number from 0.1 to 100");
    }
    let least = reader.parsed_optional::<f32>(
        "DETECTOR_LEAST_SCALE",
        "large photos are never reduced to less than this share of their sides, 0.05 to 1; the rest follows `DETECTOR_EFFORT`",
    );
    if least.is_some_and(|scale| !(0.05..=1.0).contains(&scale)) {
        reader.mistake("DETECTOR_LEAST_SCALE", "is a number from 0.05 to 1");
    }
    let hides_unsure = reader.flag(
        "HIDE_UNSURE",
        "hides unsure objects without looking at them again: more is hidden, also of people behind nets",
    );
    let second_look_megapixels = if hides_unsure {
        0.0
    } else {
        scales.second_look_megapixels
    };
    Scales {
        second_look_megapixels,
        fine_megapixels: fine.unwrap_or(scales.fine_megapixels),
        least_scale: least.unwrap_or(scales.least_scale),
        ..scales
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(f32);

/// The text is no [`Share`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("is a number from 0 to 1")]
struct InvalidShare;

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        text.parse()
            .ok()
            .filter(|share| (0.0..=1.0).contains(share))
            .map(Self)
            .ok_or(InvalidShare)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names of classes, separated by commas.
#[derive(Clone, Debug, PartialEq)]
struct Classes(BTreeSet<Class>);

impl FromStr for Classes {
    type Err = UnknownClass;

    fn from_str(text: &str) -> Result<Self, UnknownClass> {
        text.split(',')
            .map(|name| name.trim().parse())
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl fmt::Display for Classes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.0.iter().map(|class| class.name()).collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn settings_of(variables: &[(&str, &str)]) -> Result<AnonymizeSettings, String> {
        let environment: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut reader = Reader::new(&environment);
        let settings = super::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn nothing_set_is_what_was_measured() {
        assert_eq!(settings_of(&[]).unwrap(), AnonymizeSettings::default());
    }

    #[test]
    fn what_leaves_people_recognisable_is_refused_unless_allowed() {
        for classes in ["car", "person,car", "face"] {
            let refused = settings_of(&[("CLASSES", classes)]).unwrap_err();
            assert!(
                refused.contains("CLASSES") && refused.contains("ALLOW_PARTIAL=1"),
                "{refused}"
            );
            let allowed = settings_of(&[("CLASSES", classes), ("ALLOW_PARTIAL", "1")]).unwrap();
            assert!(!allowed.detect.classes.contains(&Class::Bus));
        }
        assert!(settings_of(&[("CLASSES", "face, person")]).is_ok());
    }

    #[test]
    fn every_mistake_is_told_by_name() {
        let wrong = [
            ("CLASSES", "person,face,dragon"),
            ("PERSON_THRESHOLD", "1.5"),
            ("SMALL_FACE_THRESHOLD", "NaN"),
            ("VEHICLE_THRESHOLD", "-1"),
            ("DETECTOR_EFFORT", "heroic"),
            ("DETECTOR_MEGAPIXELS", "NaN"),
            ("DETECTOR_LEAST_SCALE", "2"),
            ("PERSON_MARGIN", "0.2"),
            ("OBSCURE_MODE", "pretty"),
            ("FACE_MODE", "none"),
            ("JPEG_QUALITY", "0"),
        ];
        let told = settings_of(&wrong).unwrap_err();
        for (name, _) in wrong {
            assert!(told.contains(name), "{name} is not in: {told}");
        }
    }

    #[test]
    fn settings_arrive() {
        let settings = settings_of(&[
            ("CLASSES", "person,face,bicycle"),
            ("SMALL_PERSON_THRESHOLD", "0.25"),
            ("DETECTOR_EFFORT", "fast"),
            ("DETECTOR_MEGAPIXELS", "2.5"),
            ("FACE_MARGIN", "1, 0.6, 0.3"),
            ("OBSCURE_MODE", "solid"),
            ("JPEG_QUALITY", "75"),
        ])
        .unwrap();
        assert!(settings.detect.classes.contains(&Class::Bicycle));
        assert_eq!(settings.detect.person.small.to_bits(), 0.25f32.to_bits());
        assert_eq!(settings.detect.scales.fine_megapixels.to_bits(), 2.5f32.to_bits());
        assert_eq!(
            settings.detect.scales.least_scale,
            Effort::Fast.scales().least_scale
        );
        assert_eq!(settings.detect.face_growth.to_string(), "1,0.6,0.3");
        assert_eq!(settings.modes, Modes::uniform(Mode::Solid));
        assert_eq!(settings.jpeg_quality, 75);
    }

    #[test]
    fn each_class_may_have_a_mode_of_its_own() {
        let settings = settings_of(&[
            ("OBSCURE_MODE", "blur"),
            ("FACE_MODE", "solid"),
            ("VEHICLE_MODE", "mosaic"),
        ])
        .unwrap();
        let modes = Modes {
            person: Mode::Blur,
            face: Mode::Solid,
            vehicle: Mode::Mosaic,
        };
        assert_eq!(settings.modes, modes);
        let defaults = settings_of(&[("PERSON_MODE", "solid")]).unwrap().modes;
        assert_eq!((defaults.person, defaults.face), (Mode::Solid, Mode::Mosaic));
    }
}

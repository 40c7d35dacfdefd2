//! The variables that control how a photo is anonymised.

use std::{collections::BTreeSet, fmt, str::FromStr};

use imaging::{
    AnonymizeSettings, Class, UnknownClass,
    detector::{DetectSettings, Effort, Scales, Threshold},
    obscure::{ObscureMode, ObscureModes},
    picture::DecodeLimits,
};
use service_runtime::settings::SettingsReader;

const PARTIAL_CLASSES: &str =
    "must contain person and face, or people stay recognisable; ALLOW_PARTIAL=1 allows it";

/// Reads all settings of the anonymisation.
pub(super) fn read(reader: &mut SettingsReader<'_>) -> AnonymizeSettings {
    let default = AnonymizeSettings::default();
    let limits = DecodeLimits {
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
        reader.add_error("JPEG_QUALITY", "must be a whole number from 1 to 100");
    }
    AnonymizeSettings {
        limits,
        detect,
        modes,
        jpeg_quality,
    }
}

fn modes(reader: &mut SettingsReader<'_>) -> ObscureModes {
    let default = reader.parsed(
        "OBSCURE_MODE",
        ObscureMode::default(),
        "how areas are obscured: mosaic, blur or solid; none of them can be reversed",
    );
    let mut class = |name: &str, objects: &str| {
        reader
            .parsed_optional(
                name,
                &format!("how {objects} are obscured; `OBSCURE_MODE` if not set"),
            )
            .unwrap_or(default)
    };
    ObscureModes {
        person: class("PERSON_MODE", "people"),
        face: class("FACE_MODE", "faces"),
        vehicle: class("VEHICLE_MODE", "vehicles"),
    }
}

fn detect(reader: &mut SettingsReader<'_>, default: DetectSettings) -> DetectSettings {
    let classes = classes(reader, &default.classes);
    let person = threshold(reader, "PERSON", default.person, "a person");
    let face = threshold(reader, "FACE", default.face, "a face");
    let vehicle = threshold(reader, "VEHICLE", default.vehicle, "a vehicle");
    let Fraction(large_vehicle) = reader.parsed(
        "LARGE_VEHICLE_THRESHOLD",
        Fraction(default.large_vehicle),
        "lowest score of a vehicle that fills more than 6 % of the photo and does not look like a car; construction machines look like trucks to the detector; 0 hides them too",
    );
    let scales = scales(reader);
    let person_margins = reader.parsed(
        "PERSON_MARGIN",
        default.person_margins,
        "what is also hidden around a person's box: top,sides,bottom, as fractions of the box's height, width, height",
    );
    let face_margins = reader.parsed(
        "FACE_MARGIN",
        default.face_margins,
        "what is also hidden around a face's box, which reaches from the brows to the chin: top,sides,bottom",
    );
    let vehicle_margins = reader.parsed(
        "VEHICLE_MARGIN",
        default.vehicle_margins,
        "what is also hidden around a vehicle's box: top,sides,bottom",
    );
    DetectSettings {
        classes,
        person,
        face,
        vehicle,
        large_vehicle,
        scales,
        person_margins,
        face_margins,
        vehicle_margins,
        ..default
    }
}

fn classes(reader: &mut SettingsReader<'_>, default: &BTreeSet<Class>) -> BTreeSet<Class> {
    let Classes(classes) = reader.parsed(
        "CLASSES",
        Classes(default.clone()),
        &format!("what is hidden, separated by commas: {}", Class::names()),
    );
    let allow_partial = reader.flag("ALLOW_PARTIAL", "allow CLASSES without person or face");
    let is_complete = classes.contains(&Class::Person) && classes.contains(&Class::Face);
    if !is_complete && !allow_partial {
        reader.add_error("CLASSES", PARTIAL_CLASSES);
    }
    classes
}

fn threshold(reader: &mut SettingsReader<'_>, name: &str, default: Threshold, object: &str) -> Threshold {
    let Fraction(large) = reader.parsed(
        &format!("{name}_THRESHOLD"),
        Fraction(default.large),
        &format!("lowest score of {object}"),
    );
    let Fraction(small) = reader.parsed(
        &format!("SMALL_{name}_THRESHOLD"),
        Fraction(default.small),
        &format!("lowest score of {object} that is small in the photo; small objects score lower"),
    );
    Threshold {
        large,
        small,
        ..default
    }
}

fn scales(reader: &mut SettingsReader<'_>) -> Scales {
    let effort: Effort = reader.parsed(
        "DETECTOR_EFFORT",
        Effort::default(),
        "how thoroughly photos are searched: thorough, balanced or fast (docs/detector.md)",
    );
    let scales = effort.scales();
    let fine_megapixels = reader.parsed_optional::<f32>(
        "DETECTOR_MEGAPIXELS",
        "megapixels to which a photo is scaled for the detector, 0.1 to 100; the rest follows `DETECTOR_EFFORT`",
    );
    if fine_megapixels.is_some_and(|megapixels| !(0.1..=100.0).contains(&megapixels)) {
        reader.add_error("DETECTOR_MEGAPIXELS", "must be a number from 0.1 to 100");
    }
    let min_scale = reader.parsed_optional::<f32>(
        "DETECTOR_LEAST_SCALE",
        "large photos are scaled down to no less than this fraction of their sides, 0.05 to 1; the rest follows `DETECTOR_EFFORT`",
    );
    if min_scale.is_some_and(|scale| !(0.05..=1.0).contains(&scale)) {
        reader.add_error("DETECTOR_LEAST_SCALE", "must be a number from 0.05 to 1");
    }
    let hides_unsure = reader.flag(
        "HIDE_UNSURE",
        "hides unsure objects without examining them again: hides more, also more people behind nets",
    );
    let second_look_megapixels = if hides_unsure {
        0.0
    } else {
        scales.second_look_megapixels
    };
    Scales {
        second_look_megapixels,
        fine_megapixels: fine_megapixels.unwrap_or(scales.fine_megapixels),
        min_scale: min_scale.unwrap_or(scales.min_scale),
        ..scales
    }
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Fraction(f32);

/// The text is not a [`Fraction`].
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("must be a number from 0 to 1")]
struct InvalidFraction;

impl FromStr for Fraction {
    type Err = InvalidFraction;

    fn from_str(text: &str) -> Result<Self, InvalidFraction> {
        text.parse()
            .ok()
            .filter(|fraction| (0.0..=1.0).contains(fraction))
            .map(Self)
            .ok_or(InvalidFraction)
    }
}

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Class names, separated by commas.
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

    fn read_with(variables: &[(&str, &str)]) -> Result<AnonymizeSettings, String> {
        let environment: BTreeMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let mut reader = SettingsReader::new(&environment);
        let settings = super::read(&mut reader);
        reader.finish().map(|()| settings).map_err(|e| e.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_imaging_crate() {
        assert_eq!(read_with(&[]).unwrap(), AnonymizeSettings::default());
    }

    #[test]
    fn classes_without_person_or_face_need_allow_partial() {
        for classes in ["car", "person,car", "face"] {
            let refused = read_with(&[("CLASSES", classes)]).unwrap_err();
            assert!(
                refused.contains("CLASSES") && refused.contains("ALLOW_PARTIAL=1"),
                "{refused}"
            );
            let allowed = read_with(&[("CLASSES", classes), ("ALLOW_PARTIAL", "1")]).unwrap();
            assert!(!allowed.detect.classes.contains(&Class::Bus));
        }
        assert!(read_with(&[("CLASSES", "face, person")]).is_ok());
    }

    #[test]
    fn every_mistake_names_its_variable() {
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
        let errors = read_with(&wrong).unwrap_err();
        for (name, _) in wrong {
            assert!(errors.contains(name), "{name} is not in: {errors}");
        }
    }

    #[test]
    fn variables_are_applied() {
        let settings = read_with(&[
            ("CLASSES", "person,face,bicycle"),
            ("SMALL_PERSON_THRESHOLD", "0.25"),
            ("DETECTOR_EFFORT", "fast"),
            ("DETECTOR_MEGAPIXELS", "2.5"),
            ("HIDE_UNSURE", "1"),
            ("FACE_MARGIN", "1, 0.6, 0.3"),
            ("OBSCURE_MODE", "solid"),
            ("JPEG_QUALITY", "75"),
        ])
        .unwrap();
        assert!(settings.detect.classes.contains(&Class::Bicycle));
        assert_eq!(settings.detect.person.small.to_bits(), 0.25f32.to_bits());
        assert_eq!(settings.detect.scales.fine_megapixels.to_bits(), 2.5f32.to_bits());
        assert_eq!(settings.detect.scales.min_scale, Effort::Fast.scales().min_scale);
        assert_eq!(settings.detect.scales.second_look_megapixels, 0.0);
        assert_eq!(settings.detect.face_margins.to_string(), "1,0.6,0.3");
        assert_eq!(settings.modes, ObscureModes::uniform(ObscureMode::Solid));
        assert_eq!(settings.jpeg_quality, 75);
    }

    #[test]
    fn each_class_can_have_its_own_mode() {
        let settings = read_with(&[
            ("OBSCURE_MODE", "blur"),
            ("FACE_MODE", "solid"),
            ("VEHICLE_MODE", "mosaic"),
        ])
        .unwrap();
        let modes = ObscureModes {
            person: ObscureMode::Blur,
            face: ObscureMode::Solid,
            vehicle: ObscureMode::Mosaic,
        };
        assert_eq!(settings.modes, modes);
        let defaults = read_with(&[("PERSON_MODE", "solid")]).unwrap().modes;
        assert_eq!(
            (defaults.person, defaults.face),
            (ObscureMode::Solid, ObscureMode::Mosaic)
        );
    }
}

//! Nobody can be recognised in the output, and it contains nothing of the original except pixels and colour profile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "support/shapes.rs"]
mod shapes;
mod support;

use std::collections::BTreeSet;

use contract::Detection;
use imaging::{
    AnonymizeSettings, Anonymized, Class, anonymize,
    detector::{DetectSettings, Margins, Scales, Threshold},
    obscure::{ObscureMode, ObscureModes},
    picture::{self, Picture},
};
use shapes::{cropped, resized, turned};
use support::{
    DETECTOR, SOLVAY, SOLVAY_FACES, coverage, head,
    photos::{LIMITS, jpeg, markers, profile_segments, segment, with_segments},
    sample,
};

fn anonymized(photo: &[u8], mode: ObscureMode) -> Anonymized {
    let settings = AnonymizeSettings {
        modes: ObscureModes::uniform(mode),
        ..AnonymizeSettings::default()
    };
    anonymize(photo, &settings, &DETECTOR).unwrap()
}

/// An independent check: CenterFace over the whole photo at its own size, as its authors use it, and at half and twice
/// that size.
fn faces(picture: &Picture) -> Vec<imaging::detector::DetectedObject> {
    let none = Margins {
        top: 0.0,
        sides: 0.0,
        bottom: 0.0,
    };
    let at = |scale: f32| DetectSettings {
        classes: BTreeSet::from([Class::Face]),
        face: Threshold::flat(0.3),
        face_margins: none,
        scales: Scales {
            fine_megapixels: 0.01,
            min_scale: scale,
            coarse_megapixels: 0.0,
            rotated_megapixels: 0.0,
            second_look_megapixels: 0.0,
            check_megapixels: 0.0,
        },
        ..DetectSettings::default()
    };
    [0.5, 1.0, 2.0]
        .iter()
        .flat_map(|scale| DETECTOR.detect(picture, &at(*scale)).unwrap())
        .collect()
}

/// The mean difference of neighbouring pixels, a measure of detail.
fn detail(picture: &Picture, area: &Detection) -> f64 {
    let at = |x: u32, y: u32| f64::from(picture.pixels[3 * (y * picture.width + x) as usize + 1]);
    let mut sum = 0.0;
    for y in area.y..area.y + area.height {
        for x in area.x + 1..area.x + area.width {
            sum += (at(x, y) - at(x - 1, y)).abs();
        }
    }
    sum / f64::from(area.width * area.height)
}

#[test]
fn the_output_contains_no_face() {
    for name in [SOLVAY, "astronaut.png"] {
        let before = picture::decode(&sample(name), &LIMITS).unwrap();
        let were_there = faces(&before);
        assert!(!were_there.is_empty(), "{name}: the test's own eyes see nothing");
        for mode in [ObscureMode::Mosaic, ObscureMode::Blur, ObscureMode::Solid] {
            let out = anonymized(&sample(name), mode);
            let after = picture::decode(&out.jpeg, &LIMITS).unwrap();
            let mut left = faces(&after);
            if mode == ObscureMode::Solid {
                // Grey shapes at the picture's edge, with their mirror images, can look like a face.
                left.retain(|face| were_there.iter().any(|was| was.rect.overlap(&face.rect) > 0.0));
            }
            assert!(left.is_empty(), "{name}, {mode}: {left:?}");
        }
    }
}

#[test]
fn every_detected_box_is_replaced() {
    for name in [SOLVAY, "astronaut.png"] {
        let before = picture::decode(&sample(name), &LIMITS).unwrap();
        let out = anonymized(&sample(name), ObscureMode::Mosaic);
        let after = picture::decode(&out.jpeg, &LIMITS).unwrap();
        assert!(out.detections.iter().any(|d| d.class == Class::Face.name()));
        assert!(out.detections.iter().any(|d| d.class == Class::Person.name()));
        for detection in &out.detections {
            let (was, is) = (detail(&before, detection), detail(&after, detection));
            assert!(
                is < 3.0 || is < was / 4.0,
                "{name}: {detection:?}: detail {was:.1} → {is:.1}"
            );
        }
    }
}

#[test]
fn a_face_that_fills_the_frame_is_hidden() {
    let astronaut = picture::decode(&sample("astronaut.png"), &LIMITS).unwrap();
    let face = cropped(&astronaut, [165, 50, 125, 140]);
    for times in [1, 8, 24] {
        let photo = jpeg(&resized(&face, times * face.width, times * face.height), |_| {});
        let out = anonymized(&photo, ObscureMode::Mosaic);
        let whole = imaging::detector::Rect {
            left: 0.1 * out.width as f32,
            top: 0.1 * out.height as f32,
            right: 0.9 * out.width as f32,
            bottom: 0.9 * out.height as f32,
        };
        let hidden = coverage(&out)(&whole);
        assert!(hidden > 0.99, "{times} times as large: {hidden}");
    }
}

/// The picture after a quarter turn anticlockwise. EXIF orientation 6 turns it upright.
fn sideways(picture: &Picture) -> Picture {
    turned(&turned(&turned(picture)))
}

/// EXIF with orientation 6, a camera's name, a place, and a thumbnail (TIFF 6.0; CIPA DC-008: IFD0, GPS IFD, IFD1).
fn exif(thumbnail: &[u8]) -> Vec<u8> {
    const MAKE: &[u8] = b"SecretCamera\0\0";
    let mut tiff = b"MM\0*\0\0\0\x08".to_vec();
    let entry = |tag: u16, kind: u16, count: u32, value: [u8; 4]| {
        [
            &tag.to_be_bytes()[..],
            &kind.to_be_bytes(),
            &count.to_be_bytes(),
            &value,
        ]
        .concat()
    };
    let long = |value: usize| u32::try_from(value).unwrap().to_be_bytes();
    let ifd0 = 8;
    let make = ifd0 + 2 + 3 * 12 + 4;
    let gps = make + MAKE.len();
    let latitude = gps + 2 + 2 * 12 + 4;
    let ifd1 = latitude + 24;
    let picture = ifd1 + 2 + 2 * 12 + 4;
    tiff.extend([0, 3]);
    tiff.extend(entry(0x010F, 2, MAKE.len() as u32, long(make)));
    tiff.extend(entry(0x0112, 3, 1, [0, 6, 0, 0]));
    tiff.extend(entry(0x8825, 4, 1, long(gps)));
    tiff.extend(long(ifd1));
    tiff.extend(MAKE);
    tiff.extend([0, 2]);
    tiff.extend(entry(1, 2, 2, *b"N\0\0\0"));
    tiff.extend(entry(2, 5, 3, long(latitude)));
    tiff.extend(long(0));
    for number in [48u32, 1, 8, 1, 5, 1] {
        tiff.extend(number.to_be_bytes());
    }
    tiff.extend([0, 2]);
    tiff.extend(entry(0x0201, 4, 1, long(picture)));
    tiff.extend(entry(0x0202, 4, 1, long(thumbnail.len())));
    tiff.extend(long(0));
    assert_eq!(tiff.len(), picture);
    tiff.extend(thumbnail);
    [b"Exif\0\0", &tiff[..]].concat()
}

/// A photo with every kind of identifying metadata, stored sideways.
fn telltale() -> Vec<u8> {
    let solvay = picture::decode(&sample(SOLVAY), &LIMITS).unwrap();
    let astronaut = picture::decode(&sample("astronaut.png"), &LIMITS).unwrap();
    let thumbnail = jpeg(&astronaut, |c| c.set_quality(40).unwrap());
    let xmp = b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta><dc:creator>SecretPerson</dc:creator></x:xmpmeta>";
    let mut segments = vec![
        segment(0xE1, &exif(&thumbnail)),
        segment(0xE1, xmp),
        segment(0xED, b"Photoshop 3.0\x008BIM\x04\x04SecretCaption"),
        segment(0xEB, b"SecretBox"),
        segment(0xFE, b"SecretComment"),
    ];
    let colours = moxcms::ColorProfile::new_srgb().encode().unwrap();
    segments.extend(profile_segments(&colours, 60_000));
    let photo = with_segments(&jpeg(&sideways(&solvay), |_| {}), &segments);
    [&photo, &thumbnail[..], b"SecretTrailer"].concat()
}

#[test]
fn the_output_contains_only_pixels_and_profile() {
    let photo = telltale();
    assert_eq!(contract::media::orientation(&photo), 6);
    let out = anonymized(&photo, ObscureMode::Mosaic).jpeg;
    let (markers, trailer) = markers(&out);
    let allowed = [0xE0, 0xE2, 0xDB, 0xC0, 0xC4, 0xDA];
    assert!(
        markers.iter().all(|marker| allowed.contains(marker)),
        "{markers:02X?}"
    );
    assert_eq!(markers.iter().filter(|marker| **marker == 0xE2).count(), 1);
    assert!(trailer.is_empty());
    for telltale in [
        &b"Exif"[..],
        b"Secret",
        b"adobe",
        b"xmp",
        b"8BIM",
        b"\xFF\xD8\xFF\xDB",
    ] {
        let found = out[2..].windows(telltale.len()).any(|window| window == telltale);
        assert!(!found, "{:?} is in it", String::from_utf8_lossy(telltale));
    }
    assert_eq!(contract::media::orientation(&out), 1);
}

#[test]
fn people_in_a_photo_stored_sideways_are_hidden() {
    let out = anonymized(&telltale(), ObscureMode::Mosaic);
    assert_eq!((out.width, out.height), (2126, 1463));
    let covered = coverage(&out);
    for face in SOLVAY_FACES {
        let hidden = covered(&head(face, 1.0));
        assert!(hidden >= 0.95, "{face:?}: {hidden}");
    }
    let left = faces(&picture::decode(&out.jpeg, &LIMITS).unwrap());
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn people_cut_off_by_the_edge_are_hidden() {
    let solvay = picture::decode(&sample(SOLVAY), &LIMITS).unwrap();
    // The left edge cuts the face at 569 to 624; the bottom edge is below it.
    let cut = cropped(&solvay, [590, 640, 700, 160]);
    let out = anonymized(&jpeg(&cut, |_| {}), ObscureMode::Mosaic);
    let half = imaging::detector::Rect {
        left: 0.0,
        top: 66.0,
        right: 34.0,
        bottom: 137.0,
    };
    let hidden = coverage(&out)(&half);
    assert!(hidden >= 0.95, "{hidden}");
}

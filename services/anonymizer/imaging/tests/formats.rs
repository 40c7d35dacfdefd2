//! Every kind of photo decodes to the pixels that are to be seen, and comes
//! out as a JPEG with pixels and colour profile, and nothing else.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use contract::FailureReason;
use imaging::{
    AnonymizeSettings, anonymize,
    picture::{self, DecodeError, Picture},
};
use moxcms::ColorProfile;
use support::{
    DETECTOR,
    photos::{
        LIMITS, WEBP_ALPHA, WEBP_ANIMATED, WEBP_LOSSLESS, WEBP_LOSSY, bytes, gradient, jpeg, markers, png,
        png_of, profile, profile_segments, with_segments,
    },
};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

fn decoded(photo: &[u8]) -> Picture {
    picture::decode(photo, &LIMITS).unwrap()
}

fn refused(photo: &[u8]) -> DecodeError {
    picture::decode(photo, &LIMITS).unwrap_err()
}

#[track_caller]
fn assert_close(picture: &Picture, expected: &Picture, tolerance: u8) {
    assert_eq!((picture.width, picture.height), (expected.width, expected.height));
    let worst = picture
        .pixels
        .iter()
        .zip(&expected.pixels)
        .map(|(a, b)| a.abs_diff(*b))
        .max();
    assert!(worst <= Some(tolerance), "off by {worst:?}");
}

#[test]
fn jpegs_of_every_coding_decode_alike() {
    let picture = gradient(70, 50);
    type Coding = (&'static str, fn(&mut Compressor));
    let codings: [Coding; 4] = [
        ("baseline", |_| {}),
        ("progressive", |c| c.set_progressive(true).unwrap()),
        ("arithmetic", |c| c.set_arithmetic(true).unwrap()),
        ("subsampled", |c| c.set_subsamp(Subsamp::Sub2x2).unwrap()),
    ];
    for (name, configure) in codings {
        let photo = jpeg(&picture, configure);
        println!("{name}: {} bytes", photo.len());
        assert_close(&decoded(&photo), &picture, 16);
    }
}

#[test]
fn grey_stays_grey() {
    let photo = jpeg(&gradient(40, 30), |c| c.set_subsamp(Subsamp::Gray).unwrap());
    let picture = decoded(&photo);
    assert!(picture.grey);
    assert!(picture.pixels.chunks(3).all(|p| p[0] == p[1] && p[1] == p[2]));
    let out = anonymize(&photo, &AnonymizeSettings::default(), &DETECTOR)
        .unwrap()
        .jpeg;
    assert!(decoded(&out).grey);
}

#[test]
fn inks_become_light() {
    let picture = gradient(32, 32);
    // Adobe's way round, as libjpeg-turbo writes and marks it: light, not ink.
    let inks: Vec<u8> = picture
        .pixels
        .chunks(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    let mut encoder = Compressor::new().unwrap();
    encoder.set_quality(95).unwrap();
    let photo = encoder
        .compress_to_vec(Image {
            pixels: inks.as_slice(),
            width: 32,
            pitch: 4 * 32,
            height: 32,
            format: PixelFormat::CMYK,
        })
        .unwrap();
    assert_close(&decoded(&photo), &picture, 16);
}

#[test]
fn pngs_of_every_kind_decode_alike() {
    use png::{BitDepth, ColorType};
    let picture = gradient(20, 10);
    let size = (20, 10);
    let grey: Vec<u8> = picture.pixels.chunks(3).map(|p| p[0]).collect();
    let grey_picture = Picture {
        pixels: grey.iter().flat_map(|v| [*v; 3]).collect(),
        grey: true,
        ..picture.clone()
    };
    let deep: Vec<u8> = picture.pixels.iter().flat_map(|v| [*v, *v]).collect();
    let opaque: Vec<u8> = picture
        .pixels
        .chunks(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    assert_eq!(decoded(&png_of(&picture)), picture);
    assert_eq!(
        decoded(&png(size, ColorType::Rgb, BitDepth::Sixteen, &deep, |_| {})),
        picture
    );
    assert_eq!(
        decoded(&png(size, ColorType::Rgba, BitDepth::Eight, &opaque, |_| {})),
        picture
    );
    assert_eq!(
        decoded(&png(size, ColorType::Grayscale, BitDepth::Eight, &grey, |_| {})),
        grey_picture
    );
    let palette: Vec<u8> = (0..=255u8).flat_map(|i| [i, 255 - i, 9]).collect();
    let indexed = decoded(&png(
        size,
        ColorType::Indexed,
        BitDepth::Eight,
        &grey,
        |encoder| {
            encoder.set_palette(palette.clone());
        },
    ));
    assert_eq!(indexed.pixels[3 * 7..3 * 7 + 3], [grey[7], 255 - grey[7], 9]);
}

#[test]
fn an_interlaced_png_decodes_like_a_plain_one() {
    // Adam7 by hand: 1 × 1 pixel has only the first pass.
    let mut photo = png_of(&gradient(1, 1));
    let header = 8 + 8;
    photo[header + 12] = 1;
    let crc = crc32(&photo[12..header + 13]);
    photo[header + 13..header + 17].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(decoded(&photo), gradient(1, 1));
}

/// CRC-32 as PNG has it (annex D).
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn what_is_transparent_is_white() {
    use png::{BitDepth, ColorType};
    let pixels = [10, 20, 30, 0, 10, 20, 30, 255, 0, 0, 0, 128];
    let picture = decoded(&png((3, 1), ColorType::Rgba, BitDepth::Eight, &pixels, |_| {}));
    assert_eq!(picture.pixels, [255, 255, 255, 10, 20, 30, 127, 127, 127]);
}

#[test]
fn webps_decode() {
    for file in [WEBP_LOSSLESS, WEBP_ALPHA, WEBP_LOSSY] {
        let picture = decoded(&bytes(file));
        assert_eq!((picture.width, picture.height), (8, 6));
        assert_eq!(picture.pixels.len(), 3 * 8 * 6);
    }
    // Wholly transparent at the top left.
    assert_eq!(decoded(&bytes(WEBP_LOSSLESS)).pixels[..3], [255; 3]);
}

#[test]
fn animations_are_refused() {
    let animated_png = png(
        (4, 4),
        png::ColorType::Grayscale,
        png::BitDepth::Eight,
        &[9; 16],
        |encoder| {
            encoder.set_animated(1, 0).unwrap();
        },
    );
    for photo in [bytes(WEBP_ANIMATED), animated_png] {
        let error = refused(&photo);
        assert_eq!(error.reason(), FailureReason::UnsupportedFormat, "{error}");
    }
}

#[test]
fn jpegs_of_12_bits_are_refused() {
    let mut photo = jpeg(&gradient(16, 16), |_| {});
    let frame = photo.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    photo[frame + 4] = 12;
    assert_eq!(refused(&photo).reason(), FailureReason::UnsupportedFormat);
}

fn profile_of(photo: &[u8]) -> Option<Vec<u8>> {
    let out = anonymize(photo, &AnonymizeSettings::default(), &DETECTOR).unwrap();
    decoded(&out.jpeg).icc.map(|icc| icc.as_bytes().to_vec())
}

fn with_profile(profile: &[u8]) -> Vec<u8> {
    let plain = jpeg(&gradient(16, 16), |_| {});
    with_segments(&plain, &profile_segments(profile, 60_000))
}

fn usual_profiles() -> Vec<Vec<u8>> {
    [
        ColorProfile::new_srgb(),
        ColorProfile::new_adobe_rgb(),
        ColorProfile::new_display_p3(),
        ColorProfile::new_pro_photo_rgb(),
    ]
    .map(|profile| profile.encode().unwrap())
    .to_vec()
}

/// The profile with one tag more, which holds `data`.
fn with_tag(profile: &[u8], signature: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let number = |at: usize| u32::from_be_bytes(profile[at..at + 4].try_into().unwrap());
    let count = number(128);
    let table = 132..132 + 12 * count as usize;
    let mut rows = Vec::new();
    for row in profile[table.clone()].chunks(12) {
        let offset = u32::from_be_bytes(row[4..8].try_into().unwrap()) + 12;
        rows.extend([&row[..4], &offset.to_be_bytes(), &row[8..]].concat());
    }
    let end = (profile.len() + 12) as u32;
    rows.extend(
        [
            &signature[..],
            &end.to_be_bytes(),
            &(data.len() as u32).to_be_bytes(),
        ]
        .concat(),
    );
    let mut new = [
        &profile[..128],
        &(count + 1).to_be_bytes(),
        &rows,
        &profile[table.end..],
        data,
    ]
    .concat();
    let size = (new.len() as u32).to_be_bytes();
    new[..4].copy_from_slice(&size);
    new
}

#[test]
fn a_profile_of_colours_is_kept_as_it_is() {
    for profile in usual_profiles() {
        assert_eq!(profile_of(&with_profile(&profile)).unwrap(), profile);
    }
}

#[test]
fn of_a_profile_that_carries_more_only_the_colours_are_kept() {
    let secret = b"JOHN DOE LIVES AT 52.52N 13.40E ".repeat(20);
    for profile in usual_profiles() {
        let colours = ColorProfile::new_from_slice(&profile).unwrap();
        let mut behind = [&profile[..], &secret].concat();
        let size = (behind.len() as u32).to_be_bytes();
        behind[..4].copy_from_slice(&size);
        let mut header = profile.clone();
        header[100..108].copy_from_slice(&secret[..8]);
        for carrier in [
            with_tag(&profile, b"EVIL", &secret),
            with_tag(&profile, b"dmdd", &secret),
            behind,
            header,
        ] {
            let kept = profile_of(&with_profile(&carrier)).unwrap();
            assert!(!kept.windows(8).any(|window| window == &secret[..8]));
            let kept = ColorProfile::new_from_slice(&kept).unwrap();
            assert_eq!(kept.red_colorant, colours.red_colorant);
            assert_eq!(kept.blue_colorant, colours.blue_colorant);
            assert_eq!(kept.media_white_point, colours.media_white_point);
            assert_eq!(kept.green_trc, colours.green_trc);
        }
    }
}

#[test]
fn a_profile_without_colours_is_dropped() {
    for size in [128, 3000, 200_000] {
        assert_eq!(
            profile_of(&with_profile(&profile(b"RGB ", size))),
            None,
            "{size} bytes"
        );
    }
}

#[test]
fn a_profile_that_does_not_fit_is_dropped() {
    let plain = jpeg(&gradient(16, 16), |_| {});
    let mut wrong_signature = profile(b"RGB ", 500);
    wrong_signature[36] = b'x';
    let mut wrong_size = profile(b"RGB ", 500);
    wrong_size[3] ^= 1;
    let too_large = profile(b"RGB ", 1_100_000);
    for unfit in [
        profile(b"CMYK", 500),
        profile(b"GRAY", 500),
        wrong_signature,
        wrong_size,
        too_large,
        vec![1; 20],
    ] {
        let photo = with_segments(&plain, &profile_segments(&unfit, 60_000));
        let out = anonymize(&photo, &AnonymizeSettings::default(), &DETECTOR)
            .unwrap()
            .jpeg;
        assert!(!markers(&out).0.contains(&0xE2));
    }
}

#[test]
fn a_profile_of_which_a_part_is_missing_is_damage() {
    let mut parts = profile_segments(&profile(b"RGB ", 500), 200);
    parts.remove(1);
    let photo = with_segments(&jpeg(&gradient(16, 16), |_| {}), &parts);
    assert_eq!(refused(&photo).reason(), FailureReason::CorruptImage);
}

#[test]
fn photos_of_every_shape_are_anonymised() {
    let settings = AnonymizeSettings::default();
    for (width, height) in [
        (1, 1),
        (16, 16),
        (1, 700),
        (3000, 2),
        (33, 31),
        (2500, 90),
        (90, 2500),
    ] {
        let done = anonymize(&jpeg(&gradient(width, height), |_| {}), &settings, &DETECTOR).unwrap();
        assert_eq!((done.width, done.height), (width, height));
    }
}

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
        LIMITS, WEBP_ALPHA, WEBP_ANIMATED, WEBP_LOSSLESS, WEBP_LOSSY, bytes, cmyk, gradient, jpeg, markers,
        png, png_of, profile, profile_segments, with_segments,
    },
    root,
};
use turbojpeg::{Compressor, Subsamp};

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
    let photo = cmyk(&picture);
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

/// 20 × 10 pixels in the order of Adam7 (W3C PNG, 8.1).
#[test]
fn interlaced_pngs_decode_like_others() {
    use png::{BitDepth, ColorType};
    let picture = gradient(20, 10);
    type Stored = fn(&[u8], u8) -> Vec<u8>;
    let kinds: [(&str, ColorType, Stored); 4] = [
        ("rgb", ColorType::Rgb, |p, _| p.to_vec()),
        ("rgba", ColorType::Rgba, |p, alpha| vec![p[0], p[1], p[2], alpha]),
        ("grey", ColorType::Grayscale, |p, _| vec![p[0]]),
        ("grey-alpha", ColorType::GrayscaleAlpha, |p, alpha| {
            vec![p[0], alpha]
        }),
    ];
    for (name, color, stored) in kinds {
        // As opaque as it is red.
        let pixels: Vec<u8> = picture.pixels.chunks(3).flat_map(|p| stored(p, p[0])).collect();
        let plain = png((20, 10), color, BitDepth::Eight, &pixels, |_| {});
        let file = format!("services/anonymizer/imaging/tests/photos/interlaced-{name}.png");
        let interlaced = std::fs::read(root().join(file)).unwrap();
        assert!(decoded(&interlaced) == decoded(&plain), "{name}");
        assert_eq!(picture::decoding_bytes(&interlaced), 5 * 20 * 10, "{name}");
    }
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

/// What a photo may cost is known before it is decoded.
#[test]
fn memory_for_a_pixel_follows_from_the_kind_of_file() {
    let picture = gradient(256, 256);
    let progressive = |subsamp| {
        jpeg(&picture, |c| {
            c.set_progressive(true).unwrap();
            c.set_subsamp(subsamp).unwrap();
        })
    };
    for (photo, pixels, expected) in [
        (jpeg(&picture, |_| {}), 256 * 256, 4..=4),
        (progressive(Subsamp::Sub2x2), 256 * 256, 7..=8),
        (progressive(Subsamp::None), 256 * 256, 10..=11),
        (png_of(&picture), 256 * 256, 4..=4),
        (bytes(WEBP_LOSSLESS), 8 * 6, 8..=8),
        (b"no photo".to_vec(), 1, 0..=0),
    ] {
        let per_pixel = picture::decoding_bytes(&photo).div_ceil(pixels);
        assert!(expected.contains(&per_pixel), "{per_pixel}, not {expected:?}");
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
fn only_the_colours_of_a_profile_are_kept() {
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
            with_tag(
                &profile,
                b"calt",
                b"dtim\0\0\0\0\x07\xE8\0\x05\0\x1F\0\x0C\0\0\0\0",
            ),
            behind,
            header,
            with_every_header_field(&profile),
            profile.clone(),
        ] {
            let kept = profile_of(&with_profile(&carrier)).unwrap();
            for part in [
                &secret[..4],
                b"desc",
                b"cprt",
                b"dmdd",
                b"calt",
                b"SERI",
                &[0xDE, 0xAD],
            ] {
                assert!(!kept.windows(part.len()).any(|window| window == part), "{part:?}");
            }
            assert_eq!(kept[24..36], [0; 12], "the date");
            assert_eq!(kept[84..128], [0; 44], "creator and id");
            let kept = ColorProfile::new_from_slice(&kept).unwrap();
            assert_eq!(kept.red_colorant, colours.red_colorant);
            assert_eq!(kept.blue_colorant, colours.blue_colorant);
            assert_eq!(kept.media_white_point, colours.media_white_point);
            assert_eq!(kept.green_trc, colours.green_trc);
        }
    }
}

/// The profile with something in each field of its header that says whose it is
/// (ICC.1:2022, 7.2): creator, date, platform, manufacturer, model, attributes.
fn with_every_header_field(profile: &[u8]) -> Vec<u8> {
    let mut profile = profile.to_vec();
    profile[4..8].copy_from_slice(b"SERI");
    profile[24..36].copy_from_slice(&[7, 0xE8, 0, 5, 0, 31, 0, 12, 0, 30, 0, 15]);
    for at in [40, 44, 48, 52, 56, 60, 80, 84, 88, 92, 96, 100, 120] {
        profile[at..at + 4].copy_from_slice(&[0xDE, 0xAD, 0xDE, 0xAD]);
    }
    profile
}

/// Grey profiles describe one curve.
#[test]
fn only_the_curve_of_a_grey_profile_is_kept() {
    let plain = jpeg(&gradient(40, 30), |c| c.set_subsamp(Subsamp::Gray).unwrap());
    let mut colours = ColorProfile::new_gray_with_gamma(2.2);
    colours.copyright = Some(moxcms::ProfileText::PlainString("SERIAL 12345".to_owned()));
    let profile = with_every_header_field(&colours.encode().unwrap());
    let photo = with_segments(&plain, &profile_segments(&profile, 60_000));
    let kept = profile_of(&photo).unwrap();
    assert!(
        !kept
            .windows(2)
            .any(|window| window == [0xDE, 0xAD] || window == b"SE" || window == b"S\0")
    );
    assert_eq!(
        ColorProfile::new_from_slice(&kept).unwrap().gray_trc,
        colours.gray_trc
    );
}

/// Tables could hold anything: the pixels are converted, and no profile is
/// written.
#[test]
fn colours_that_are_tables_are_applied() {
    let photo = with_profile(&swapping_profile());
    assert_eq!(profile_of(&photo), None);
    let (plain, converted) = (decoded(&jpeg(&gradient(16, 16), |_| {})), decoded(&photo));
    for (plain, converted) in plain.pixels.chunks(3).zip(converted.pixels.chunks(3)) {
        for (a, b) in plain.iter().zip([converted[2], converted[1], converted[0]]) {
            assert!(a.abs_diff(b) < 24, "{plain:?} became {converted:?}");
        }
    }
}

/// sRGB with red and blue swapped, as a table (ICC.1:2022, 10.10).
fn swapping_profile() -> Vec<u8> {
    let linear = (0..256u32).map(|value| (65_535.0 * (f64::from(value) / 255.0).powf(2.2)) as u16);
    let srgb = ColorProfile::new_srgb();
    let corner = |ink: usize| {
        let inks = [srgb.blue_colorant, srgb.green_colorant, srgb.red_colorant];
        let lit = inks
            .iter()
            .enumerate()
            .filter(move |(i, _)| ink >> (2 - i) & 1 == 1);
        let sum = lit.fold([0.0; 3], |[x, y, z], (_, c)| [x + c.x, y + c.y, z + c.z]);
        sum.map(|value| (value * 32_768.0) as u16)
    };
    let table = moxcms::LutDataType {
        num_input_channels: 3,
        num_output_channels: 3,
        num_clut_grid_points: 2,
        matrix: moxcms::Matrix3d::IDENTITY,
        num_input_table_entries: 256,
        num_output_table_entries: 2,
        input_table: moxcms::LutStore::Store16(linear.clone().chain(linear.clone()).chain(linear).collect()),
        clut_table: moxcms::LutStore::Store16((0..8).flat_map(corner).collect()),
        output_table: moxcms::LutStore::Store16([0, u16::MAX].repeat(3)),
        lut_type: moxcms::LutType::Lut16,
    };
    let mut profile = srgb;
    profile.lut_a_to_b_perceptual = Some(moxcms::LutWarehouse::Lut(table));
    profile.encode().unwrap()
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
fn a_profile_of_which_a_part_is_missing_is_dropped() {
    let mut parts = profile_segments(&ColorProfile::new_srgb().encode().unwrap(), 200);
    parts.remove(1);
    let photo = with_segments(&jpeg(&gradient(16, 16), |_| {}), &parts);
    assert_eq!(profile_of(&photo), None);
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

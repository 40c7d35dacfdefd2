//! The output keeps only the colours of a colour profile.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use imaging::{
    AnonymizeSettings, anonymize,
    picture::{self, Picture},
};
use moxcms::ColorProfile;
use support::{
    DETECTOR,
    photos::{LIMITS, gradient, jpeg, markers, profile, profile_segments, with_segments},
};
use turbojpeg::Subsamp;

fn decoded(photo: &[u8]) -> Picture {
    picture::decode(photo, &LIMITS).unwrap()
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

/// The profile with an additional tag that contains `data`.
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

/// The profile with a value in each identifying field of its header (ICC.1:2022, 7.2): creator, date, platform,
/// manufacturer, model, attributes.
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

/// Tables could contain anything, so the pixels are converted and no profile is written.
#[test]
fn tables_of_colours_are_applied_to_the_pixels() {
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
fn a_profile_of_another_colour_space_is_dropped() {
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
fn a_profile_with_a_missing_part_is_dropped() {
    let mut parts = profile_segments(&ColorProfile::new_srgb().encode().unwrap(), 200);
    parts.remove(1);
    let photo = with_segments(&jpeg(&gradient(16, 16), |_| {}), &parts);
    assert_eq!(profile_of(&photo), None);
}

//! Every kind of photo decodes to the visible pixels, and becomes a JPEG.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use contract::FailureReason;
use imaging::{
    AnonymizeSettings, anonymize,
    picture::{self, DecodeError, Picture},
};
use support::{
    DETECTOR,
    photos::{
        LIMITS, WEBP_ALPHA, WEBP_ANIMATED, WEBP_LOSSLESS, WEBP_LOSSY, bytes, cmyk, gradient, jpeg, png,
        png_of,
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
    // Adam7 written by hand: 1 × 1 pixel has only the first pass.
    let mut photo = png_of(&gradient(1, 1));
    let header = 8 + 8;
    photo[header + 12] = 1;
    let crc = crc32(&photo[12..header + 13]);
    photo[header + 13..header + 17].copy_from_slice(&crc.to_be_bytes());
    assert_eq!(decoded(&photo), gradient(1, 1));
}

/// CRC-32 of PNG (annex D).
fn crc32(data: &[u8]) -> u32 {
    !data.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn transparent_pixels_are_white() {
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
    // The top left is transparent.
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
        // Its opacity equals its red.
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

/// The memory for a photo is known before decoding.
#[test]
fn memory_per_pixel_depends_on_the_kind_of_file() {
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

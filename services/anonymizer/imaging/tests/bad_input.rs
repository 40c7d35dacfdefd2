//! An incomplete or invalid photo is an error with the right verdict. It causes no panic, no half grey output and no
//! exhausted memory.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../../../contract/fuzz/checks/image_decode.rs"]
mod checks;
mod support;

use std::{fs, path::Path};

use contract::FailureReason::{self, CorruptImage, TooLarge, UnsupportedFormat};
use imaging::picture::{self, DecodeError, DecodeLimits, decode};
use proptest::prelude::*;
use support::{
    SOLVAY,
    photos::{
        LIMITS, WEBP_ALPHA, WEBP_ANIMATED, WEBP_LOSSLESS, WEBP_LOSSY, bytes, gradient, jpeg, png_of, segment,
    },
    sample,
};

const USUAL: DecodeLimits = DecodeLimits {
    bytes: 64 << 20,
    pixels: 100_000_000,
};

fn verdict(photo: &[u8]) -> FailureReason {
    decode(photo, &USUAL).unwrap_err().reason()
}

/// Photos, and the number of bytes at their ends without information: JPEG's end marker, PNG's last chunk, WebP's padding
/// byte. In an arithmetic-coded JPEG, missing data cannot be distinguished from the end marker.
fn seeds() -> Vec<(Vec<u8>, usize)> {
    let picture = gradient(61, 47);
    vec![
        (jpeg(&picture, |_| {}), 2),
        (jpeg(&picture, |c| c.set_progressive(true).unwrap()), 2),
        (jpeg(&picture, |c| c.set_arithmetic(true).unwrap()), 0),
        (png_of(&picture), 12),
        (bytes(WEBP_LOSSLESS), 1),
        (bytes(WEBP_LOSSY), 0),
        (bytes(WEBP_ALPHA), 0),
    ]
}

#[test]
fn other_files_are_unsupported() {
    assert_eq!(
        verdict(b"Dear Sir or Madam, attached please find"),
        UnsupportedFormat
    );
    assert_eq!(
        verdict(b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00"),
        UnsupportedFormat
    );
    assert_eq!(verdict(&[0; 4096]), UnsupportedFormat);
    assert_eq!(
        verdict(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        UnsupportedFormat
    );
}

#[test]
fn empty_files_and_beginnings_are_corrupt() {
    assert_eq!(verdict(b""), CorruptImage);
    assert_eq!(verdict(b"\xFF\xD8\xFF"), CorruptImage);
    assert_eq!(verdict(b"\x89PNG\r\n\x1A\n"), CorruptImage);
    assert_eq!(verdict(b"RIFF\x10\0\0\0WEBPVP8 "), CorruptImage);
    assert_eq!(verdict(&[0xFF; 1000]), UnsupportedFormat);
}

#[test]
fn a_photo_truncated_at_any_byte_is_corrupt() {
    for (photo, spare) in seeds() {
        let whole = decode(&photo, &USUAL).unwrap();
        for length in 0..photo.len() {
            let cut = decode(&photo[..length], &USUAL);
            let what = format!("{:x?} cut to {length} of {} bytes", &photo[..4], photo.len());
            if length + spare < photo.len() {
                assert_eq!(
                    cut.err().map(|error| error.reason()),
                    Some(CorruptImage),
                    "{what}"
                );
            } else {
                assert!(cut == Ok(whole.clone()), "{what}");
            }
        }
    }
}

#[test]
fn a_truncated_real_photo_is_corrupt() {
    for name in [SOLVAY, "astronaut.png"] {
        let photo = sample(name);
        for share in [0.01, 0.3, 0.9, 0.999] {
            let length = (photo.len() as f64 * share) as usize;
            assert_eq!(verdict(&photo[..length]), CorruptImage, "{name} cut to {share}");
        }
    }
}

#[test]
fn a_photo_with_a_hole_is_corrupt() {
    let mut photo = sample(SOLVAY);
    let middle = photo.len() / 2;
    photo[middle..middle + 3000].fill(0);
    assert_eq!(verdict(&photo), CorruptImage);
}

#[test]
fn data_after_the_photo_is_ignored() {
    let photo = jpeg(&gradient(61, 47), |_| {});
    let longer = [&photo[..], b"trailing data", &photo[..]].concat();
    assert_eq!(decode(&longer, &USUAL).unwrap(), decode(&photo, &USUAL).unwrap());
}

/// A PNG with a header of `width` × `height` and a few bytes of zeros.
fn png_bomb(width: u32, height: u32) -> Vec<u8> {
    let mut photo = png_of(&gradient(4, 4));
    photo[16..20].copy_from_slice(&width.to_be_bytes());
    photo[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = !photo[12..29].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    });
    photo[29..33].copy_from_slice(&crc.to_be_bytes());
    photo
}

#[test]
fn bombs_are_too_large_by_their_headers() {
    assert_eq!(verdict(&png_bomb(50_000, 50_000)), TooLarge);
    assert_eq!(verdict(&png_bomb(u32::MAX >> 1, 1)), TooLarge);
    let mut photo = jpeg(&gradient(16, 16), |_| {});
    let frame = photo.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    photo[frame + 5..frame + 9].fill(0xFF);
    assert_eq!(verdict(&photo), TooLarge);
}

#[test]
fn a_bomb_within_the_limits_is_corrupt() {
    assert_eq!(verdict(&png_bomb(10_000, 10_000)), CorruptImage);
    let mut photo = jpeg(&gradient(16, 16), |_| {});
    let frame = photo.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    photo[frame + 5..frame + 9].copy_from_slice(&[0x20, 0, 0x20, 0]);
    assert_eq!(verdict(&photo), CorruptImage);
}

/// The checked header must be the decoded one.
#[test]
fn a_second_frame_header_does_not_get_around_the_limits() {
    let photo = jpeg(&gradient(16, 16), |_| {});
    let frame = photo.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    let large = segment(
        0xC0,
        &[8, 0xFF, 0, 0xFF, 0, 3, 1, 0x11, 0, 2, 0x11, 1, 3, 0x11, 1],
    );
    for at in [2, frame] {
        let both = [&photo[..at], &large, &photo[at..]].concat();
        assert!(decode(&both, &USUAL).is_err());
    }
    let after = [&photo[..frame + 19], &large, &photo[frame + 19..]].concat();
    assert!(decode(&after, &USUAL).is_err());
}

#[test]
fn errors_name_the_limit_and_the_number() {
    let photo = jpeg(&gradient(100, 100), |_| {});
    let few_pixels = DecodeLimits {
        pixels: 9_999,
        ..USUAL
    };
    let few_bytes = DecodeLimits { bytes: 10, ..USUAL };
    let told = |limits| decode(&photo, &limits).unwrap_err().to_string();
    assert_eq!(told(few_pixels), "10000 pixels: more than the limit of 9999");
    assert!(matches!(
        decode(&photo, &few_bytes),
        Err(DecodeError::TooManyBytes { limit: 10, .. })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn damage_never_panics(
        which in 0usize..8,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let seed = seeds().get(which).map(|(photo, _)| photo.clone());
        let mut photo = seed.unwrap_or_else(|| bytes(WEBP_ANIMATED));
        for (at, value) in changes {
            let at = at.index(photo.len());
            photo[at] = value;
        }
        if let Some(cut) = cut {
            photo.truncate(cut.index(photo.len()));
        }
        let small = DecodeLimits { bytes: LIMITS.bytes, pixels: 4_000_000 };
        if let Ok(picture) = decode(&photo, &small) {
            prop_assert_eq!(picture.pixels.len(), 3 * picture.width as usize * picture.height as usize);
        }
    }

    #[test]
    fn noise_never_decodes(noise in prop::collection::vec(any::<u8>(), 0..200), signature in 0usize..4) {
        let begin: [&[u8]; 4] = [b"", b"\xFF\xD8\xFF\xE0", b"\x89PNG\r\n\x1A\n", b"RIFF\xFF\0\0\0WEBP"];
        let photo = [begin[signature], &noise].concat();
        prop_assert!(decode(&photo, &LIMITS).is_err());
    }
}

#[test]
fn a_side_that_no_jpeg_can_have_is_too_large() {
    assert!(decode(&png_of(&gradient(65_500, 1)), &USUAL).is_ok());
    for (width, height) in [(65_501, 1), (1, 65_501), (1, 1_000_000)] {
        assert_eq!(verdict(&png_of(&gradient(width, height))), TooLarge);
    }
}

/// Replays the corpus of the fuzz target `image_decode`.
#[test]
fn the_fuzz_corpus_is_decoded_or_refused() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contract/fuzz/corpus/image_decode");
    let mut replayed = 0;
    for entry in fs::read_dir(&corpus).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        checks::check(&fs::read(&path).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 20, "{replayed} in {}", corpus.display());
}

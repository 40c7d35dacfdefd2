//! Format and size of a photo, from as little of it as there is.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{fs, path::Path};

use contract::media::{HeaderError, ImageHeader, MediaType, read_header};
use proptest::{collection::vec, prelude::*};

fn sample(name: &str) -> Vec<u8> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/image_header");
    fs::read(corpus.join(name)).unwrap()
}

/// Files that an encoder made, all of 24 × 16 pixels.
const SAMPLES: [(&str, MediaType); 14] = [
    ("baseline.jpg", MediaType::Jpeg),
    ("progressive.jpg", MediaType::Jpeg),
    ("grey.jpg", MediaType::Jpeg),
    ("cmyk.jpg", MediaType::Jpeg),
    ("exif.jpg", MediaType::Jpeg),
    ("fill-bytes.jpg", MediaType::Jpeg),
    ("rgb.png", MediaType::Png),
    ("exif.png", MediaType::Png),
    ("palette.png", MediaType::Png),
    ("alpha.png", MediaType::Png),
    ("lossy.webp", MediaType::Webp),
    ("lossless.webp", MediaType::Webp),
    ("alpha.webp", MediaType::Webp),
    ("animated.webp", MediaType::Webp),
];

/// Every prefix asks for more until the size is known, and then it stays.
fn check_prefixes(photo: &[u8], expected: ImageHeader) -> Result<(), TestCaseError> {
    let mut known = false;
    for length in 0..=photo.len() {
        match read_header(&photo[..length]) {
            Err(HeaderError::Incomplete) => prop_assert!(!known, "{} bytes", length),
            other => {
                prop_assert_eq!(other, Ok(expected), "{} bytes", length);
                known = true;
            }
        }
    }
    prop_assert!(known);
    Ok(())
}

#[test]
fn what_encoders_write_at_every_prefix() {
    for (name, media_type) in SAMPLES {
        let expected = ImageHeader {
            media_type,
            width: 24,
            height: 16,
        };
        check_prefixes(&sample(name), expected)
            .map_err(|e| format!("{name}: {e}"))
            .unwrap();
    }
}

/// A JPEG until its frame header, with any segments before it.
fn jpeg(width: u16, height: u16, frame: u8, segments: &[(u8, Vec<u8>, usize)], fill: usize) -> Vec<u8> {
    let mut photo = vec![0xFF, 0xD8];
    for (code, body, fill) in segments {
        photo.extend(vec![0xFF; 1 + fill]);
        photo.push(*code);
        photo.extend(u16::try_from(body.len() + 2).unwrap().to_be_bytes());
        photo.extend(body);
    }
    photo.extend(vec![0xFF; 1 + fill]);
    photo.extend([frame, 0, 11, 8]);
    photo.extend(height.to_be_bytes());
    photo.extend(width.to_be_bytes());
    photo.extend([1, 1, 0x11, 0]);
    photo
}

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_le_bytes();
    [&kind[..], &length, body].concat()
}

fn webp(first: &[u8]) -> Vec<u8> {
    let riff = u32::try_from(first.len() + 4).unwrap().to_le_bytes();
    [b"RIFF", &riff[..], b"WEBP", first].concat()
}

proptest! {
    #[test]
    fn any_jpeg_at_every_prefix(
        width in 1..=u16::MAX,
        height in 1..=u16::MAX,
        frame in prop::sample::select(vec![0xC0_u8, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9, 0xCA, 0xCF]),
        segments in vec((prop_oneof![Just(0xC4_u8), Just(0xC8), Just(0xCC), 0xDB_u8..=0xFE], vec(any::<u8>(), 0..80), 0_usize..4), 0..6),
        fill in 0_usize..4,
    ) {
        let expected = ImageHeader { media_type: MediaType::Jpeg, width: width.into(), height: height.into() };
        check_prefixes(&jpeg(width, height, frame, &segments, fill), expected)?;
    }

    #[test]
    fn any_png_at_every_prefix(width in 1..=0x7FFF_FFFF_u32, height in 1..=0x7FFF_FFFF_u32, rest in vec(any::<u8>(), 0..40)) {
        let photo = [
            b"\x89PNG\r\n\x1A\n\0\0\0\x0DIHDR", &width.to_be_bytes()[..], &height.to_be_bytes()[..], &rest[..],
        ].concat();
        check_prefixes(&photo, ImageHeader { media_type: MediaType::Png, width, height })?;
    }

    #[test]
    fn any_webp_at_every_prefix(width in 1..=0x3FFF_u32, height in 1..=0x3FFF_u32, scale in 0..16_u16, rest in vec(any::<u8>(), 0..20)) {
        let expected = ImageHeader { media_type: MediaType::Webp, width, height };
        let sized = |side: u32, scale: u16| (u16::try_from(side).unwrap() | (scale << 14)).to_le_bytes();
        let lossy = [&[0x10, 0, 0, 0x9D, 0x01, 0x2A], &sized(width, scale & 3)[..], &sized(height, scale >> 2)[..], &rest].concat();
        let lossless = [&[0x2F], &((width - 1) | ((height - 1) << 14) | (u32::from(scale & 1) << 28)).to_le_bytes()[..], &rest].concat();
        let extended = [&[0x10, 0, 0, 0], &(width - 1).to_le_bytes()[..3], &(height - 1).to_le_bytes()[..3], &rest].concat();
        for (kind, body) in [(b"VP8 ", lossy), (b"VP8L", lossless), (b"VP8X", extended)] {
            check_prefixes(&webp(&chunk(kind, &body)), expected)?;
        }
    }

    #[test]
    fn any_bytes_are_read_without_harm(
        signature in prop::sample::select(vec![&b""[..], b"\xFF\xD8\xFF", b"\x89PNG\r\n\x1A\n", b"RIFF\0\0\0\0WEBPVP8"]),
        rest in vec(any::<u8>(), 0..300),
    ) {
        let _ = read_header(&[signature, &rest].concat());
    }
}

#[test]
fn a_bomb_tells_its_size_and_costs_nothing() {
    for (name, pixels) in [
        ("bomb.png", 50_000 * 50_000),
        ("bomb.jpg", 65_500 * 65_500),
        ("bomb.webp", (1 << 24) * (1 << 16)),
    ] {
        assert_eq!(read_header(&sample(name)).unwrap().pixels(), pixels, "{name}");
    }
}

#[test]
fn what_is_no_photo() {
    let gif = b"GIF89a\x01\0\x01\0\0\0\0".as_slice();
    let wave = b"RIFF\x24\0\0\0WAVEfmt ".as_slice();
    for head in [
        b"hello".as_slice(),
        b"<svg",
        b"\xFF\xD9",
        b"\x89PNX",
        gif,
        wave,
        b"RIFX",
        b"\0",
    ] {
        assert_eq!(read_header(head), Err(HeaderError::UnknownFormat), "{head:?}");
    }
    for head in [
        b"".as_slice(),
        b"\xFF",
        b"\x89PNG\r\n",
        b"RIFF",
        b"RIFF\x24\0\0\0WEB",
    ] {
        assert_eq!(read_header(head), Err(HeaderError::Incomplete), "{head:?}");
    }
}

#[test]
fn signatures_with_nonsense_behind() {
    let jpeg_then = |rest: &[u8]| [b"\xFF\xD8\xFF", rest].concat();
    let png_then = |rest: &[u8]| [b"\x89PNG\r\n\x1A\n", rest].concat();
    let damaged = [
        jpeg_then(b"\xE0\0\x04\0\0nonsense"),
        jpeg_then(b"\xE0\0\x01"),
        jpeg_then(b"\xE0\0\0"),
        jpeg_then(b"\0"),
        jpeg_then(b"\xD8"),
        jpeg_then(b"\xD9"),
        jpeg_then(b"\xDA\0\x08\x01\x01\0\0\x3F\0"),
        jpeg(0, 5, 0xC0, &[], 0),
        jpeg(5, 0, 0xC0, &[], 0),
        jpeg_then(b"\xC0\0\x05\x08\0\x01\0\x01"),
        png_then(b"\0\0\0\x0DIDAT\0\0\0\x01\0\0\0\x01"),
        png_then(b"\0\0\0\x0CIHDR\0\0\0\x01\0\0\0\x01"),
        png_then(b"\0\0\0\x0DIHDR\0\0\0\0\0\0\0\x01"),
        png_then(b"\0\0\0\x0DIHDR\x80\0\0\0\0\0\0\x01"),
        webp(&chunk(b"ICCP", &[0; 20])),
        webp(&chunk(b"VP8 ", &[0x11, 0, 0, 0x9D, 0x01, 0x2A, 1, 0, 1, 0])),
        webp(&chunk(b"VP8 ", &[0x10, 0, 0, 1, 2, 3, 1, 0, 1, 0])),
        webp(&chunk(b"VP8L", &[0x2E, 0, 0, 0, 0])),
        webp(&chunk(b"VP8L", &[0x2F, 0, 0, 0, 0x20])),
    ];
    for head in damaged {
        assert_eq!(read_header(&head), Err(HeaderError::Damaged), "{head:x?}");
    }
}

/// T.81 B.1.1.4: markers without a length.
#[test]
fn markers_that_stand_alone_are_passed_over() {
    let photo = [
        b"\xFF\xD8\xFF\x01\xFF\xD0".as_slice(),
        &jpeg(7, 9, 0xC0, &[], 0)[2..],
    ]
    .concat();
    let header = read_header(&photo).unwrap();
    assert_eq!((header.width, header.height), (7, 9));
}

//! Photos for tests: every kind of file that decodes, and the parts of a JPEG.

use imaging::picture::{DecodeLimits, Picture};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

/// No limits.
pub const LIMITS: DecodeLimits = DecodeLimits {
    bytes: u64::MAX,
    pixels: u64::MAX,
};

/// A picture with smooth colours, which survive JPEG.
pub fn gradient(width: u32, height: u32) -> Picture {
    let shade = |at: u32, of: u32| (255 * at / of.max(1)).to_le_bytes()[0];
    let pixels = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [shade(x, width), shade(y, height), 96]))
        .collect();
    Picture {
        width,
        height,
        pixels,
        grey: false,
        icc: None,
    }
}

/// A JPEG of the picture with the settings of `configure`.
pub fn jpeg(picture: &Picture, configure: impl FnOnce(&mut Compressor)) -> Vec<u8> {
    let mut encoder = Compressor::new().unwrap();
    encoder.set_quality(95).unwrap();
    encoder.set_subsamp(Subsamp::None).unwrap();
    configure(&mut encoder);
    let image = Image {
        pixels: picture.pixels.as_slice(),
        width: picture.width as usize,
        pitch: picture.stride(),
        height: picture.height as usize,
        format: PixelFormat::RGB,
    };
    encoder.compress_to_vec(image).unwrap()
}

/// A JPEG of inks as Adobe stores them: libjpeg-turbo writes and marks the complement of each ink.
pub fn cmyk(picture: &Picture) -> Vec<u8> {
    let inks: Vec<u8> = picture
        .pixels
        .chunks(3)
        .flat_map(|p| [p[0], p[1], p[2], 255])
        .collect();
    let mut encoder = Compressor::new().unwrap();
    encoder.set_quality(95).unwrap();
    let image = Image {
        pixels: inks.as_slice(),
        width: picture.width as usize,
        pitch: 4 * picture.width as usize,
        height: picture.height as usize,
        format: PixelFormat::CMYK,
    };
    encoder.compress_to_vec(image).unwrap()
}

/// A PNG; `pixels` have this colour type and depth.
pub fn png(
    (width, height): (u32, u32),
    color: png::ColorType,
    depth: png::BitDepth,
    pixels: &[u8],
    configure: impl FnOnce(&mut png::Encoder<'_, &mut Vec<u8>>),
) -> Vec<u8> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    configure(&mut encoder);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(pixels).unwrap();
    writer.finish().unwrap();
    file
}

/// A PNG of the picture.
pub fn png_of(picture: &Picture) -> Vec<u8> {
    let size = (picture.width, picture.height);
    png(
        size,
        png::ColorType::Rgb,
        png::BitDepth::Eight,
        &picture.pixels,
        |_| {},
    )
}

/// 8 × 6 pixels, lossless, with transparency.
pub const WEBP_LOSSLESS: &str = "524946463e000000574542505650384c310000002f07400110cd6544ffc3a1a891a4884b08fe1dd3d463fe274041db362cee27b3c59c873a4c5c4ea29fc8e545fa913c920000";
/// 8 × 6 pixels, lossy, with transparency.
pub const WEBP_ALPHA: &str = "524946467800000057454250565038580a00000010000000070000050000414c5048230000000527a0206d0316774fca2222982e28641b014e29dc27b05c44ff43e0261c67813b190000565038202e0000009001009d012a0800060001402625a40002e69bdfb800fefb0d5ecec2c738197165bcd84f0b03e4cc7664de2e0000";
/// 8 × 6 pixels, lossy.
pub const WEBP_LOSSY: &str = "52494646340000005745425056503820280000009001009d012a0800060001402625a40002e69bdfb800fefc03ffb98417ebb8581f24b7bde2e00000";
/// Two frames of 8 × 6 pixels.
pub const WEBP_ANIMATED: &str = "524946468800000057454250565038580a00000002000000070000050000414e494d06000000000000000000414e4d462a000000000000000000070000050000640000025650384c110000002f0740010007508f22d7a3ff8188e87f0000414e4d462a000000000000000000070000050000640000005650384c110000002f074001000750e47ad4a3ff8188e87f0000";

/// Decodes hexadecimal digits.
pub fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

/// A JPEG segment.
pub fn segment(marker: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len() + 2).unwrap().to_be_bytes();
    [&[0xFF, marker], &length[..], body].concat()
}

/// The JPEG with segments after its start marker.
pub fn with_segments(jpeg: &[u8], segments: &[Vec<u8>]) -> Vec<u8> {
    [&jpeg[..2], &segments.concat(), &jpeg[2..]].concat()
}

/// The markers of a JPEG's segments up to its first scan, and the data after its end.
pub fn markers(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut found = Vec::new();
    let mut at = 2;
    loop {
        assert_eq!(jpeg[at], 0xFF, "no marker at {at}");
        let marker = jpeg[at + 1];
        found.push(marker);
        at += 2 + usize::from(u16::from_be_bytes([jpeg[at + 2], jpeg[at + 3]]));
        if marker == 0xDA {
            break;
        }
    }
    let end = jpeg[at..]
        .windows(2)
        .position(|pair| pair == [0xFF, 0xD9])
        .unwrap();
    (found, jpeg[at + end + 2..].to_vec())
}

/// An ICC profile that is only a header, of this colour space.
pub fn profile(space: &[u8; 4], size: usize) -> Vec<u8> {
    let mut profile = vec![7; size];
    profile[..4].copy_from_slice(&u32::try_from(size).unwrap().to_be_bytes());
    profile[16..20].copy_from_slice(space);
    profile[36..40].copy_from_slice(b"acsp");
    profile
}

/// APP2 segments with a profile in parts of at most `part` bytes.
pub fn profile_segments(profile: &[u8], part: usize) -> Vec<Vec<u8>> {
    let parts = profile.chunks(part);
    let count = u8::try_from(parts.len()).unwrap();
    (1..)
        .zip(parts)
        .map(|(number, part)| segment(0xE2, &[b"ICC_PROFILE\0", &[number, count][..], part].concat()))
        .collect()
}

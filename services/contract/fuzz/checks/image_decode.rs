use contract::media::read_header;

use super::picture::{DecodeLimits, decode};

const LIMITS: DecodeLimits = DecodeLimits {
    bytes: 1 << 20,
    pixels: 1 << 20,
};

/// Any bytes are decoded completely or refused.
pub fn check(photo: &[u8]) {
    let Ok(picture) = decode(photo, &LIMITS) else {
        return;
    };
    let pixels = picture.width as usize * picture.height as usize;
    assert_eq!(picture.pixels.len(), 3 * pixels);
    assert!(pixels as u64 <= LIMITS.pixels);
    let header = read_header(photo).unwrap();
    let stored = (header.width, header.height);
    assert!(
        [(picture.width, picture.height), (picture.height, picture.width)].contains(&stored),
        "{stored:?}"
    );
}

//! Applies the EXIF orientation to the pixels (CIPA DC-008, 4.6.4).

use super::Picture;

/// Side of the square blocks in which pixels are moved, so that reading rows and writing columns both stay in the cache.
const BLOCK: usize = 32;

/// Rotates the picture upright. `orientation` is EXIF's 1 to 8; any other value changes nothing.
pub(super) fn upright(picture: Picture, orientation: u8) -> Picture {
    match orientation {
        2 => moved(picture, false, |x, y, w, _| (w - 1 - x, y)),
        3 => moved(picture, false, |x, y, w, h| (w - 1 - x, h - 1 - y)),
        4 => moved(picture, false, |x, y, _, h| (x, h - 1 - y)),
        5 => moved(picture, true, |x, y, _, _| (y, x)),
        6 => moved(picture, true, |x, y, _, h| (h - 1 - y, x)),
        7 => moved(picture, true, |x, y, w, h| (h - 1 - y, w - 1 - x)),
        8 => moved(picture, true, |x, y, w, _| (y, w - 1 - x)),
        _ => picture,
    }
}

/// Moves each stored pixel `(x, y)` of a `(width, height)` picture to `target(x, y, width, height)`.
fn moved(
    picture: Picture,
    swap_sides: bool,
    target: impl Fn(usize, usize, usize, usize) -> (usize, usize),
) -> Picture {
    let (w, h) = (picture.width as usize, picture.height as usize);
    let (width, height) = if swap_sides {
        (picture.height, picture.width)
    } else {
        (picture.width, picture.height)
    };
    let mut pixels = vec![0; picture.pixels.len()];
    let out_width = width as usize;
    for block_y in (0..h).step_by(BLOCK) {
        for block_x in (0..w).step_by(BLOCK) {
            for y in block_y..h.min(block_y + BLOCK) {
                for x in block_x..w.min(block_x + BLOCK) {
                    let (to_x, to_y) = target(x, y, w, h);
                    let (from, to) = (3 * (y * w + x), 3 * (to_y * out_width + to_x));
                    pixels[to..to + 3].copy_from_slice(&picture.pixels[from..from + 3]);
                }
            }
        }
    }
    Picture {
        width,
        height,
        pixels,
        ..picture
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 × 2 pixels `abc/def`, each letter's code in red.
    fn stored() -> Picture {
        Picture {
            width: 3,
            height: 2,
            pixels: b"abcdef".iter().flat_map(|&c| [c, 0, 255]).collect(),
            grey: false,
            icc: None,
        }
    }

    fn rows(picture: &Picture) -> String {
        picture
            .pixels
            .chunks(picture.stride())
            .map(|row| row.chunks(3).map(|p| p[0] as char).collect::<String>())
            .collect::<Vec<_>>()
            .join("/")
    }

    #[test]
    fn every_orientation_turns_the_stored_pixels_upright() {
        // The standard says where the stored row 0 and column 0 are in the visible picture: 1 top left, 2 top right, 3 bottom
        // right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
        let seen = [
            (1, "abc/def"),
            (2, "cba/fed"),
            (3, "fed/cba"),
            (4, "def/abc"),
            (5, "ad/be/cf"),
            (6, "da/eb/fc"),
            (7, "fc/eb/da"),
            (8, "cf/be/ad"),
            (0, "abc/def"),
            (9, "abc/def"),
        ];
        for (orientation, expected) in seen {
            assert_eq!(
                rows(&upright(stored(), orientation)),
                expected,
                "orientation {orientation}"
            );
        }
    }
}

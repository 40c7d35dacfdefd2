//! Photos with other sizes and shapes, for tests and benchmarks.

#![allow(dead_code, reason = "each program uses a part")]

use fast_image_resize::{
    Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use imaging::picture::Picture;

/// Resizes the picture.
pub fn resized(picture: &Picture, width: u32, height: u32) -> Picture {
    let source = TypedImageRef::<U8x3>::from_buffer(picture.width, picture.height, &picture.pixels)
        .unwrap_or_else(|e| panic!("{e}"));
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    let mut target =
        TypedImage::<U8x3>::from_buffer(width, height, &mut pixels).unwrap_or_else(|e| panic!("{e}"));
    Resizer::new()
        .resize_typed(&source, &mut target, None)
        .unwrap_or_else(|e| panic!("{e}"));
    Picture {
        width,
        height,
        pixels,
        ..picture.clone()
    }
}

/// A part of the picture.
pub fn cropped(picture: &Picture, [x, y, width, height]: [u32; 4]) -> Picture {
    let row = |row: u32| {
        let begin = 3 * ((y + row) * picture.width + x) as usize;
        &picture.pixels[begin..begin + 3 * width as usize]
    };
    Picture {
        width,
        height,
        pixels: (0..height).flat_map(row).copied().collect(),
        ..picture.clone()
    }
}

/// The picture after a quarter turn, clockwise.
pub fn turned(picture: &Picture) -> Picture {
    let (width, height) = (picture.width as usize, picture.height as usize);
    let source = picture.pixels.as_chunks::<3>().0;
    let pixels = (0..width * height).flat_map(|at| source[(height - 1 - at % height) * width + at / height]);
    Picture {
        width: picture.height,
        height: picture.width,
        pixels: pixels.collect(),
        ..picture.clone()
    }
}

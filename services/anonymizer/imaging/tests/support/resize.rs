//! Photos of other sizes, for tests and benchmarks.

use fast_image_resize::{
    Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use imaging::picture::Picture;

/// The whole picture at another size.
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

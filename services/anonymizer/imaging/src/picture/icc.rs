//! The colour profile: the only metadata in the output, because the colours are wrong without it.
//!
//! A profile is a container (ICC.1:2022, clause 7). Its texts, dates, serial numbers, private tags and gaps could identify
//! the camera. So its bytes are not copied: its colours are read and written into a new profile.

use std::ops::Range;

use moxcms::{
    ColorProfile, DataColorSpace, Layout, ParsingOptions, ProfileClass, ToneReprCurve, TransformOptions,
};

use super::Picture;

/// A new ICC profile that describes colours and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IccProfile(Vec<u8>);

/// Larger profiles are ignored. Cameras write a few KiB, or up to 1 MiB with tables.
const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Points of a tone curve.
const MAX_POINTS: usize = 4096;
/// The creation time (7.2.1).
const CREATED: Range<usize> = 24..36;

impl IccProfile {
    /// The profile as it is embedded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Gives the picture a profile with the colours of `profile`. If these are tables, which could contain anything, converts
/// the pixels to sRGB instead. Ignores a profile that is unreadable or has another colour space than the pixels.
pub(super) fn adopt(profile: &[u8], picture: &mut Picture) {
    let options = ParsingOptions {
        max_profile_size: MAX_BYTES,
        max_allowed_clut_size: MAX_BYTES,
        max_allowed_trc_size: MAX_POINTS,
    };
    let Ok(from) = ColorProfile::new_from_slice_with_options(profile, options) else {
        return;
    };
    match from.color_space {
        DataColorSpace::Gray if picture.grey => picture.icc = grey_profile(&from),
        DataColorSpace::Rgb if picture.grey => {}
        DataColorSpace::Rgb if has_tables(&from) => convert_to_srgb(&from, picture),
        DataColorSpace::Rgb => picture.icc = rgb_profile(&from),
        _ => {}
    }
}

const fn has_tables(profile: &ColorProfile) -> bool {
    profile.lut_a_to_b_perceptual.is_some()
        || profile.lut_a_to_b_colorimetric.is_some()
        || profile.lut_a_to_b_saturation.is_some()
}

fn rgb_profile(from: &ColorProfile) -> Option<IccProfile> {
    let mut colours = ColorProfile::default();
    colours.red_colorant = from.red_colorant;
    colours.green_colorant = from.green_colorant;
    colours.blue_colorant = from.blue_colorant;
    colours.red_trc = Some(rising(from.red_trc.as_ref())?);
    colours.green_trc = Some(rising(from.green_trc.as_ref())?);
    colours.blue_trc = Some(rising(from.blue_trc.as_ref())?);
    colours.cicp = from.cicp;
    encoded(colours, from)
}

fn grey_profile(from: &ColorProfile) -> Option<IccProfile> {
    let mut colours = ColorProfile::default();
    colours.gray_trc = Some(rising(from.gray_trc.as_ref())?);
    encoded(colours, from)
}

/// The tone curve if it rises. Other curves could encode information (10.6, 10.18).
fn rising(curve: Option<&ToneReprCurve>) -> Option<ToneReprCurve> {
    let rises = match curve? {
        ToneReprCurve::Lut(points) => points.is_sorted(),
        ToneReprCurve::Parametric(_) => true,
    };
    curve.filter(|_| rises).cloned()
}

/// The profile's bytes, with the values that grey and RGB share.
fn encoded(mut colours: ColorProfile, from: &ColorProfile) -> Option<IccProfile> {
    colours.color_space = from.color_space;
    colours.pcs = from.pcs;
    colours.profile_class = ProfileClass::DisplayDevice;
    colours.rendering_intent = from.rendering_intent;
    colours.white_point = ColorProfile::new_srgb().white_point;
    colours.media_white_point = from.media_white_point;
    colours.chromatic_adaptation = from.chromatic_adaptation;
    let mut new = colours.encode().ok()?;
    // The same photo always gives the same file.
    new.get_mut(CREATED)?.fill(0);
    Some(IccProfile(new))
}

/// Keeps the pixels if the tables are invalid.
fn convert_to_srgb(from: &ColorProfile, picture: &mut Picture) {
    let options = TransformOptions {
        rendering_intent: from.rendering_intent,
        ..TransformOptions::default()
    };
    let srgb = ColorProfile::new_srgb();
    let Ok(transform) = from.create_transform_8bit(Layout::Rgb, &srgb, Layout::Rgb, options) else {
        return;
    };
    let mut row = vec![0; picture.stride()];
    for pixels in picture.pixels.chunks_exact_mut(row.len()) {
        if transform.transform(pixels, &mut row).is_ok() {
            pixels.copy_from_slice(&row);
        }
    }
}

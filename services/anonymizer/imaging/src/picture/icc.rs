//! The colour profile: the one thing besides pixels that is passed on, since
//! the pixels' colours are wrong without it.
//!
//! A profile is a container (ICC.1:2022, clause 7) in which private tags, gaps
//! and long texts could carry anything, the photo's thumbnail included. One that
//! holds only what describes colours is passed on as it is; of any other one
//! the colours are taken into a new profile, and the rest stays behind.

use std::ops::Range;

use moxcms::{ColorProfile, ToneReprCurve};

/// A well-formed ICC profile of a colour space that the output can have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IccProfile(Vec<u8>);

/// Larger profiles are not even looked at: real ones for cameras have a few
/// KiB.
const MAX_BYTES: usize = 1024 * 1024;

/// The fixed header (7.2), and the number of tags after it.
const HEADER_BYTES: usize = 128;
/// When the profile was made (7.2.1).
const CREATED: Range<usize> = 24..36;
/// One row of the table of tags: signature, offset, size (7.3).
const ROW_BYTES: usize = 12;
/// More tags than any profile of a camera has.
const MAX_TAGS: usize = 32;
/// Points of a tone curve.
const MAX_POINTS: usize = 4096;
/// Bytes of a name or a copyright notice.
const MAX_TEXT_BYTES: usize = 256;

impl IccProfile {
    /// Takes a profile that goes with the pixels: its size field is its size,
    /// its signature `acsp`, its data colour space RGB, or grey for a grey
    /// picture. `None` for anything else, which is then dropped.
    #[must_use]
    pub fn accept(profile: Vec<u8>, grey: bool) -> Option<Self> {
        let space: &[u8] = if grey { b"GRAY" } else { b"RGB " };
        let fits = (HEADER_BYTES..=MAX_BYTES).contains(&profile.len())
            && number(&profile, 0) == Some(profile.len())
            && profile.get(36..40) == Some(b"acsp")
            && profile.get(16..20) == Some(space);
        if !fits {
            return None;
        }
        if only_colours(&profile).is_some() {
            return Some(Self(profile));
        }
        colours_of(&profile, grey).map(Self)
    }

    /// The profile as it is embedded.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A big-endian number of four bytes.
fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(bytes)).ok()
}

/// `Some` if the profile holds what describes colours and nothing else: known
/// tags of their known sizes, one behind the other without gaps.
fn only_colours(profile: &[u8]) -> Option<()> {
    let reserved = profile.get(100..HEADER_BYTES)?;
    let count = number(profile, HEADER_BYTES).filter(|count| (1..=MAX_TAGS).contains(count))?;
    let table = HEADER_BYTES + 4;
    let mut spans = Vec::with_capacity(count);
    for row in 0..count {
        let at = table + row * ROW_BYTES;
        let (offset, size) = (number(profile, at + 4)?, number(profile, at + 8)?);
        let end = offset.checked_add(size)?;
        known(profile.get(at..at + 4)?, profile.get(offset..end)?)?;
        spans.push((offset, end));
    }
    // Tags may share their data: curves of three channels often do.
    spans.sort_unstable();
    let mut covered = table + count * ROW_BYTES;
    for (begin, end) in spans {
        let gap = profile.get(covered..begin.max(covered))?;
        plain_gap(gap)?;
        covered = covered.max(end);
    }
    plain_gap(profile.get(covered..)?)?;
    reserved.iter().all(|byte| *byte == 0).then_some(())
}

/// Tags begin at multiples of four (7.3.1).
fn plain_gap(gap: &[u8]) -> Option<()> {
    (gap.len() < 4 && gap.iter().all(|byte| *byte == 0)).then_some(())
}

/// `Some` if the tag is a known one with no more in it than belongs there
/// (clauses 9 and 10).
fn known(signature: &[u8], data: &[u8]) -> Option<()> {
    let fits = match signature {
        b"rXYZ" | b"gXYZ" | b"bXYZ" | b"wtpt" | b"bkpt" | b"lumi" => {
            data.starts_with(b"XYZ ") && data.len() == 20
        }
        b"rTRC" | b"gTRC" | b"bTRC" | b"kTRC" => return curve(data),
        b"chad" => data.starts_with(b"sf32") && data.len() == 44,
        b"chrm" => data.starts_with(b"chrm") && data.len() <= 36,
        b"view" | b"meas" => data.len() == 36,
        b"tech" | b"cicp" => data.len() == 12,
        b"desc" | b"cprt" | b"dmnd" | b"dmdd" | b"vued" => data.len() <= MAX_TEXT_BYTES,
        _ => false,
    };
    fits.then_some(())
}

/// A tone curve rises, so that its points say nothing else (10.6, 10.18).
fn curve(data: &[u8]) -> Option<()> {
    if data.starts_with(b"para") {
        return (data.len() <= 40).then_some(());
    }
    let points = number(data, 8).filter(|points| data.starts_with(b"curv") && *points <= MAX_POINTS)?;
    let values = data.get(12..12 + 2 * points)?;
    let values: Vec<u16> = values
        .as_chunks::<2>()
        .0
        .iter()
        .map(|b| u16::from_be_bytes(*b))
        .collect();
    (values.is_sorted() && data.len() - 12 - 2 * points < 4).then_some(())
}

/// A new profile with this one's colours: primaries, white point, curves.
/// `None` for one whose colours are tables, or whose curves do not rise.
fn colours_of(profile: &[u8], grey: bool) -> Option<Vec<u8>> {
    let from = ColorProfile::new_from_slice(profile).ok()?;
    let curves = [&from.red_trc, &from.green_trc, &from.blue_trc];
    let used: &[&Option<ToneReprCurve>] = if grey { &[&from.gray_trc] } else { &curves };
    let rises = |curve: &&Option<ToneReprCurve>| match curve {
        Some(ToneReprCurve::Lut(points)) => points.len() <= MAX_POINTS && points.is_sorted(),
        Some(ToneReprCurve::Parametric(numbers)) => numbers.len() <= 7,
        None => false,
    };
    if !used.iter().all(rises) {
        return None;
    }
    let mut colours = ColorProfile::default();
    colours.pcs = from.pcs;
    colours.color_space = from.color_space;
    colours.profile_class = from.profile_class;
    colours.rendering_intent = from.rendering_intent;
    colours.red_colorant = from.red_colorant;
    colours.green_colorant = from.green_colorant;
    colours.blue_colorant = from.blue_colorant;
    colours.white_point = from.white_point;
    colours.media_white_point = from.media_white_point;
    colours.red_trc = from.red_trc.filter(|_| !grey);
    colours.green_trc = from.green_trc.filter(|_| !grey);
    colours.blue_trc = from.blue_trc.filter(|_| !grey);
    colours.gray_trc = from.gray_trc.filter(|_| grey);
    colours.chromatic_adaptation = from.chromatic_adaptation;
    let mut new = colours.encode().ok()?;
    // The same photo gives the same file, whenever it is made.
    new.get_mut(CREATED)?.fill(0);
    Some(new)
}

//! Photos to be posted: the samples, and small ones that are quick to work on.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::picture::Picture;

/// A photo with people in it.
#[derive(Clone, Debug)]
pub struct Base {
    /// Where it is from.
    pub name: String,
    /// The file.
    pub file: Vec<u8>,
}

/// Cut-outs of the sample photos, small but with faces: sample, left, top,
/// width, height.
const CUTS: [(&str, usize, usize, usize, usize); 5] = [
    ("astronaut.png", 100, 0, 320, 320),
    (
        "Solvay_conference_1927_Version2_2126x1463.jpg",
        200,
        420,
        400,
        320,
    ),
    (
        "Solvay_conference_1927_Version2_2126x1463.jpg",
        620,
        420,
        400,
        320,
    ),
    (
        "Solvay_conference_1927_Version2_2126x1463.jpg",
        1060,
        420,
        400,
        320,
    ),
    (
        "Solvay_conference_1927_Version2_2126x1463.jpg",
        1480,
        420,
        400,
        320,
    ),
];

/// The sample photos of the repository, by name.
///
/// # Errors
/// When they cannot be read.
pub fn samples() -> Result<Vec<Base>> {
    let folder = folder();
    let mut samples = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("no sample photos in {}", folder.display()))? {
        let path = entry?.path();
        let extension = path.extension().and_then(|extension| extension.to_str());
        if matches!(extension, Some("jpg" | "jpeg" | "png" | "webp")) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let file = fs::read(&path)?;
            samples.push(Base { name, file });
        }
    }
    ensure!(!samples.is_empty(), "no sample photos in {}", folder.display());
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(samples)
}

/// Small JPEGs with faces.
///
/// # Errors
/// When the samples cannot be read.
pub fn small() -> Result<Vec<Base>> {
    CUTS.iter()
        .map(|&(sample, left, top, width, height)| {
            let file = fs::read(folder().join(sample)).with_context(|| format!("no sample {sample}"))?;
            let cut = Picture::decode(&file)?.cut(left, top, width, height);
            Ok(Base {
                name: format!("{sample} at {left},{top}"),
                file: encode(&cut)?,
            })
        })
        .collect()
}

/// The JPEG with a comment, so that the same picture makes many files.
///
/// # Panics
/// When it is no JPEG; that is a mistake in the test.
#[must_use]
pub fn numbered(jpeg: &[u8], number: u64) -> Vec<u8> {
    let comment = format!("photo {number:012}");
    let (start, rest) = jpeg.split_at(2);
    assert_eq!(start, [0xff, 0xd8], "a JPEG");
    let length = u16::try_from(comment.len() + 2).unwrap_or(u16::MAX).to_be_bytes();
    [start, &[0xff, 0xfe], &length, comment.as_bytes(), rest].concat()
}

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../local/photos"))
}

fn encode(picture: &Picture) -> Result<Vec<u8>> {
    let image = Image {
        pixels: picture.rgb.as_slice(),
        width: picture.width,
        pitch: picture.width * 3,
        height: picture.height,
        format: PixelFormat::RGB,
    };
    Ok(turbojpeg::compress(image, 92, Subsamp::Sub2x2)?.to_vec())
}

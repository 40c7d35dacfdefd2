//! Photos for uploads: the samples, and small cut-outs that are quick to anonymise.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use turbojpeg::{Image, PixelFormat, Subsamp};

use crate::picture::Picture;

/// A photo with people in it.
#[derive(Clone, Debug)]
pub struct BasePhoto {
    /// The sample, and the position of a cut-out.
    pub name: String,
    pub file: Vec<u8>,
}

/// Cut-outs of the sample photos with faces: sample, left, top, width, height.
const CUTOUTS: [(&str, usize, usize, usize, usize); 5] = [
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

/// The sample photos of the repository, sorted by name.
pub fn sample_photos() -> Result<Vec<BasePhoto>> {
    let folder = sample_folder();
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
            samples.push(BasePhoto { name, file });
        }
    }
    ensure!(!samples.is_empty(), "no sample photos in {}", folder.display());
    samples.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(samples)
}

/// Small JPEGs with faces.
pub fn cutouts() -> Result<Vec<BasePhoto>> {
    CUTOUTS
        .iter()
        .map(|&(sample, left, top, width, height)| {
            let file =
                fs::read(sample_folder().join(sample)).with_context(|| format!("no sample {sample}"))?;
            let cutout = Picture::decode(&file)?.crop(left, top, width, height);
            Ok(BasePhoto {
                name: format!("{sample} at {left},{top}"),
                file: encode(&cutout)?,
            })
        })
        .collect()
}

/// Adds a comment to a JPEG, so that one picture gives many different files.
///
/// # Panics
/// When the file is not a JPEG, which is a mistake in the test.
pub fn with_comment(jpeg: &[u8], number: u64) -> Vec<u8> {
    let comment = format!("photo {number:012}");
    let (start, rest) = jpeg.split_at(2);
    assert_eq!(start, [0xff, 0xd8], "a JPEG");
    let length = u16::try_from(comment.len() + 2).unwrap_or(u16::MAX).to_be_bytes();
    [start, &[0xff, 0xfe], &length, comment.as_bytes(), rest].concat()
}

fn sample_folder() -> PathBuf {
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

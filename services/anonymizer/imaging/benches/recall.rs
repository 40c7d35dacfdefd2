//! Measures on your own photos how much is hidden and how much of the picture is lost, for several thresholds.
//!
//! `cargo bench -p imaging --bench recall -- FOLDER` reads `FOLDER/annotations.json`,
//! `{"photo.jpg": {"heads": […], "persons": […], "vehicles": […]}, …}` with boxes `{"x": 1, "y": 2, "w": 3, "h": 4}` in
//! pixels, the photos in `FOLDER/site`, and photos without people and road vehicles in `FOLDER/empty`. `MISSED=1` lists
//! the visible heads. For each setting the table has:
//!
//! - heads, by height in pixels: hidden if boxes cover 80 % of the middle 60 % of one;
//! - vehicles: hidden if boxes cover 60 % of one;
//! - ratio: the boxes' area, divided by that of all persons and vehicles;
//! - fog: the share of a copy of 160 pixels in which luma differs by more than 12;
//! - empty, fog: for photos without people, the boxes' area and the fog, each as the mean
//!   and the worst photo;
//! - unchanged: photos without people in which nothing is hidden;
//! - flicker: of 8 frames that differ by noise, brightness and one pixel, the area that
//!   comes or goes for one frame, divided by all that is hidden.

#![allow(clippy::panic, reason = "a benchmark ends by panicking where a test does")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/shapes.rs"]
mod shapes;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use imaging::{
    AnonymizeSettings,
    detector::{DetectSettings, Detector, Effort, Rect, Threshold},
    obscure::{ObscureModes, obscure},
    picture::{self, DecodeLimits, Picture},
};
use serde::Deserialize;
use shapes::resized;

/// Number of photos of each folder that become frames.
const SEQUENCES: usize = 2;
const FRAMES: u32 = 8;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Notes {
    heads: Vec<Box>,
    persons: Vec<Box>,
    vehicles: Vec<Box>,
}

#[derive(Clone, Copy, Deserialize)]
struct Box {
    x: f32,
    y: f32,
    w: f32,
    h: f32,
    /// The head cannot be located reliably and does not count.
    #[serde(default)]
    difficult: bool,
}

struct LabelledPhoto {
    name: String,
    picture: Picture,
    /// `None` for a photo without people.
    notes: Option<Notes>,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let folder = PathBuf::from(arguments.next().context("FOLDER is missing")?);
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.local/onnxruntime/libonnxruntime.so.1.31.1"),
        PathBuf::from,
    );
    let detector = Detector::load(&library)?;
    let photos = photos(&folder)?;
    println!(
        "| setting | heads ≥ 20 px | 12 to 20 | < 12 | vehicles | ratio | fog | empty | worst | fog | worst | unchanged | flicker | s/photo |"
    );
    println!("|{}", "---|".repeat(14));
    for (name, settings) in variants() {
        let mut tally = Tally::default();
        for photo in &photos {
            let begin = Instant::now();
            let hidden = Hidden::of(&detector, &photo.picture, &settings)?;
            tally.seconds.push(begin.elapsed().as_secs_f64());
            tally.add(photo, &hidden);
        }
        let of_kind = |is_site: bool| {
            photos
                .iter()
                .filter(move |photo| photo.notes.is_some() == is_site)
        };
        for photo in of_kind(true)
            .take(SEQUENCES)
            .chain(of_kind(false).take(SEQUENCES))
        {
            tally.flicker.push(flicker(&detector, &photo.picture, &settings)?);
        }
        println!("| {name} | {} |", tally.row());
    }
    Ok(())
}

/// The five settings of the curve, and some others.
fn variants() -> Vec<(String, DetectSettings)> {
    let default = AnonymizeSettings::default().detect;
    let times = |factor: f32| DetectSettings {
        person: scaled(default.person, factor),
        face: scaled(default.face, factor),
        vehicle: scaled(default.vehicle, factor),
        ..default.clone()
    };
    let of_effort = |effort: Effort| DetectSettings {
        scales: effort.scales(),
        ..default.clone()
    };
    let mut variants: Vec<_> = [0.5, 0.7, 1.0, 1.5, 2.0]
        .map(|factor| (format!("thresholds × {factor}"), times(factor)))
        .into();
    let mut without = default.clone();
    without.scales.second_look_megapixels = 0.0;
    variants.push(("without second look".to_owned(), without));
    variants.push(("fast".to_owned(), of_effort(Effort::Fast)));
    variants.push(("thorough".to_owned(), of_effort(Effort::Thorough)));
    variants
}

fn scaled(threshold: Threshold, factor: f32) -> Threshold {
    Threshold {
        large: threshold.large * factor,
        small: threshold.small * factor,
        ..threshold
    }
}

fn photos(folder: &Path) -> anyhow::Result<Vec<LabelledPhoto>> {
    let list = fs::read(folder.join("annotations.json")).context("annotations.json")?;
    let list: BTreeMap<String, serde_json::Value> = serde_json::from_slice(&list)?;
    let mut photos = Vec::new();
    for (name, notes) in list.into_iter().filter(|(name, _)| !name.starts_with('_')) {
        let path = folder.join("site").join(&name);
        if path.exists() {
            photos.push(LabelledPhoto {
                picture: read(&path)?,
                notes: Some(serde_json::from_value(notes).with_context(|| name.clone())?),
                name,
            });
        }
    }
    let empty = fs::read_dir(folder.join("empty")).context("empty")?;
    let mut empty: Vec<PathBuf> = empty
        .map(|entry| Ok(entry?.path()))
        .collect::<std::io::Result<_>>()?;
    empty.sort();
    for path in empty {
        photos.push(LabelledPhoto {
            name: path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned(),
            picture: read(&path)?,
            notes: None,
        });
    }
    Ok(photos)
}

fn read(path: &Path) -> anyhow::Result<Picture> {
    let limits = DecodeLimits {
        bytes: u64::MAX,
        pixels: u64::MAX,
    };
    picture::decode(&fs::read(path)?, &limits).map_err(|e| anyhow!("{}: {e}", path.display()))
}

/// The hidden pixels of a picture.
struct Hidden {
    width: usize,
    /// Pixel by pixel.
    mask: Vec<bool>,
    fog: f64,
}

impl Hidden {
    fn of(detector: &Detector, picture: &Picture, settings: &DetectSettings) -> anyhow::Result<Self> {
        let found = detector.detect(picture, settings)?;
        let width = picture.width as usize;
        let mut mask = vec![false; width * picture.height as usize];
        for one in &found {
            let [columns, rows] = pixels(&one.rect, picture);
            for y in rows.clone() {
                mask[y * width..][columns.clone()].fill(true);
            }
        }
        let regions = imaging::regions(&found, picture.width, picture.height, ObscureModes::default());
        let mut obscured = picture.clone();
        obscure(&mut obscured.pixels, picture.width, picture.height, &regions);
        Ok(Self {
            width,
            mask,
            fog: fog(picture, &obscured),
        })
    }

    fn share(&self) -> f64 {
        share(&self.mask)
    }

    /// The share of a box that is hidden.
    fn share_of(&self, rect: &Rect, picture: &Picture) -> f64 {
        let [columns, rows] = pixels(rect, picture);
        let inside: Vec<bool> = rows
            .flat_map(|y| &self.mask[y * self.width..][columns.clone()])
            .copied()
            .collect();
        share(&inside)
    }
}

fn share(mask: &[bool]) -> f64 {
    mask.iter().filter(|hidden| **hidden).count() as f64 / mask.len().max(1) as f64
}

/// The columns and rows of a box in a picture.
fn pixels(rect: &Rect, picture: &Picture) -> [std::ops::Range<usize>; 2] {
    let span = |low: f32, high: f32, limit: u32| {
        let at = |edge: f32| edge.clamp(0.0, limit as f32) as usize;
        at(low.floor())..at(high.ceil())
    };
    [
        span(rect.left, rect.right, picture.width),
        span(rect.top, rect.bottom, picture.height),
    ]
}

fn fog(before: &Picture, after: &Picture) -> f64 {
    let longer = before.width.max(before.height) as f32;
    let side = |length: u32| ((160.0 * length as f32 / longer).round() as u32).max(1);
    let luma = |picture: &Picture| -> Vec<f32> {
        let small = resized(picture, side(picture.width), side(picture.height));
        let pixels = small.pixels.as_chunks::<3>().0;
        let luma = |p: &[u8; 3]| 0.299 * f32::from(p[0]) + 0.587 * f32::from(p[1]) + 0.114 * f32::from(p[2]);
        pixels.iter().map(luma).collect()
    };
    let differs: Vec<bool> = luma(before)
        .iter()
        .zip(luma(after))
        .map(|(a, b)| (a - b).abs() > 12.0)
        .collect();
    share(&differs)
}

/// The area that appears or disappears for one frame, divided by the hidden area.
fn flicker(detector: &Detector, picture: &Picture, settings: &DetectSettings) -> anyhow::Result<f64> {
    let mut state = 7u64;
    let mut random = move |below: u32| {
        // Constants of Knuth's MMIX.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as u32 % below
    };
    let mut masks = Vec::new();
    for _ in 0..FRAMES {
        let (x, y, light) = (random(3), random(3), 0.96 + random(81) as f32 / 1000.0);
        let mut frame = shapes::cropped(picture, [x, y, picture.width - 2, picture.height - 2]);
        for value in &mut frame.pixels {
            let noise = random(11) as f32 - 5.0;
            *value = (f32::from(*value) * light + noise).clamp(0.0, 255.0) as u8;
        }
        masks.push(Hidden::of(detector, &frame, settings)?.mask);
    }
    let (mut odd, mut hidden) = (0u32, 0u32);
    for frames in masks.windows(3) {
        for ((before, at), after) in frames[0].iter().zip(&frames[1]).zip(&frames[2]) {
            odd += u32::from(at != before && at != after);
            hidden += u32::from(*at);
        }
    }
    Ok(f64::from(odd) / f64::from(hidden.max(1)))
}

#[derive(Default)]
struct Tally {
    /// Hidden and all heads: of 20 pixels and more, of 12 to 20, smaller.
    heads: [(u32, u32); 3],
    vehicles: (u32, u32),
    /// Hidden and annotated share of each photo.
    area: (f64, f64),
    fog: Vec<f64>,
    empty: Vec<f64>,
    empty_fog: Vec<f64>,
    flicker: Vec<f64>,
    seconds: Vec<f64>,
}

impl Tally {
    fn add(&mut self, photo: &LabelledPhoto, hidden: &Hidden) {
        let Some(notes) = &photo.notes else {
            self.empty.push(hidden.share());
            self.empty_fog.push(hidden.fog);
            return;
        };
        self.fog.push(hidden.fog);
        let rect = |one: &Box, margin: f32| Rect {
            left: one.x + margin * one.w,
            top: one.y + margin * one.h,
            right: one.x + (1.0 - margin) * one.w,
            bottom: one.y + (1.0 - margin) * one.h,
        };
        for head in notes.heads.iter().filter(|head| !head.difficult) {
            let share = hidden.share_of(&rect(head, 0.2), &photo.picture);
            let tally = match head.h {
                20.0.. => &mut self.heads[0],
                12.0.. => &mut self.heads[1],
                _ => &mut self.heads[2],
            };
            tally.1 += 1;
            tally.0 += u32::from(share >= 0.8);
            if share < 0.8 && std::env::var_os("MISSED").is_some() {
                println!(
                    "{}: {} px at {},{}: {share:.2}",
                    photo.name, head.h, head.x, head.y
                );
            }
        }
        for vehicle in &notes.vehicles {
            self.vehicles.1 += 1;
            self.vehicles.0 += u32::from(hidden.share_of(&rect(vehicle, 0.0), &photo.picture) >= 0.6);
        }
        let mut marked = vec![false; hidden.mask.len()];
        for one in notes.persons.iter().chain(&notes.vehicles) {
            let [columns, rows] = pixels(&rect(one, 0.0), &photo.picture);
            for y in rows {
                marked[y * hidden.width..][columns.clone()].fill(true);
            }
        }
        if marked.contains(&true) {
            self.area.0 += hidden.share();
            self.area.1 += share(&marked);
        }
    }

    fn row(&self) -> String {
        let of = |(hidden, all): (u32, u32)| format!("{hidden} of {all}");
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        let worst = |values: &[f64]| values.iter().copied().fold(0.0, f64::max);
        let unchanged = self.empty.iter().filter(|share| **share <= 0.0).count();
        [
            of(self.heads[0]),
            of(self.heads[1]),
            of(self.heads[2]),
            of(self.vehicles),
            format!("{:.2}", self.area.0 / self.area.1),
            format!("{:.3}", mean(&self.fog)),
            format!("{:.3}", mean(&self.empty)),
            format!("{:.3}", worst(&self.empty)),
            format!("{:.3}", mean(&self.empty_fog)),
            format!("{:.3}", worst(&self.empty_fog)),
            format!("{unchanged} of {}", self.empty.len()),
            format!("{:.3}", mean(&self.flicker)),
            format!("{:.2}", mean(&self.seconds)),
        ]
        .join(" | ")
    }
}

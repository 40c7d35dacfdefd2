//! How many heads are hidden, at which cost, by the three efforts: on photos
//! of your own, with the heads' boxes.
//!
//! `cargo bench -p imaging --bench recall -- FOLDER [TIMES [MEGAPIXELS…]]` reads
//! `FOLDER/heads.json`, `{"photo.jpg": [[left, top, right, bottom], …], …}` in
//! pixels, and the photos beside it. `TIMES` reduces photos and boxes, say to
//! 0.5; `MEGAPIXELS` are further budgets to try. `MISSED=1` lists the heads
//! that can be seen. A head counts as hidden when at least 95 % of its box are.

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
use contract::Class;
use imaging::{
    AnonymizeSettings,
    detector::{DetectSettings, Detector, Effort, Found, Threshold},
    picture::{self, Limits, Picture},
};
use shapes::resized;

const HIDDEN: f64 = 0.95;

#[derive(Default)]
struct Tally {
    of_20: (u32, u32),
    of_12: (u32, u32),
    area: f64,
    seconds: f64,
    photos: u32,
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let folder = PathBuf::from(arguments.next().context("FOLDER is missing")?);
    let times: f32 = arguments.next().map_or(Ok(1.0), |text| text.parse())?;
    let budgets: Vec<f32> = arguments.map(|text| text.parse()).collect::<Result<_, _>>()?;
    let list = fs::read(folder.join("heads.json")).context("heads.json")?;
    let heads: BTreeMap<String, Vec<[f32; 4]>> = serde_json::from_slice(&list)?;
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../.local/onnxruntime/libonnxruntime.so.1.31.1"),
        PathBuf::from,
    );
    let detector = Detector::load(&library)?;

    println!(
        "{:>34} {:>16} {:>16} {:>6} {:>8}",
        "setting", "heads >= 20 px", "12 to 20 px", "area", "s/photo"
    );
    for (name, settings) in variants(&budgets) {
        let mut tally = Tally::default();
        for (photo, boxes) in &heads {
            let picture = picture(&folder.join(photo), times)?;
            let begin = Instant::now();
            let found = detector.detect(&picture, &settings)?;
            tally.seconds += begin.elapsed().as_secs_f64();
            tally.add(
                &picture,
                &found,
                boxes,
                times,
                std::env::var_os("MISSED").map(|_| photo.as_str()),
            );
        }
        let photos = f64::from(tally.photos);
        println!(
            "{name:>34} {:>9}/{:<6} {:>9}/{:<6} {:>6.3} {:>8.3}",
            tally.of_20.0,
            tally.of_20.1,
            tally.of_12.0,
            tally.of_12.1,
            tally.area / photos,
            tally.seconds / photos
        );
    }
    Ok(())
}

fn variants(budgets: &[f32]) -> Vec<(String, DetectSettings)> {
    let people = DetectSettings {
        classes: [Class::Person, Class::Face].into(),
        ..AnonymizeSettings::default().detect
    };
    let with = |effort: Effort| DetectSettings {
        scales: effort.scales(),
        ..people.clone()
    };
    let flat = |effort: Effort| DetectSettings {
        person: Threshold::flat(0.30),
        face: Threshold::flat(0.20),
        ..with(effort)
    };
    let mut variants = vec![
        ("thorough".to_owned(), with(Effort::Thorough)),
        ("balanced".to_owned(), with(Effort::Balanced)),
        ("fast".to_owned(), with(Effort::Fast)),
        (
            "thorough, all sizes .30 and .20".to_owned(),
            flat(Effort::Thorough),
        ),
        (
            "balanced, all sizes .30 and .20".to_owned(),
            flat(Effort::Balanced),
        ),
    ];
    variants.extend(budgets.iter().map(|megapixels| {
        let mut settings = people.clone();
        settings.scales.fine_megapixels = *megapixels;
        (format!("{megapixels} MP"), settings)
    }));
    variants
}

fn picture(path: &Path, times: f32) -> anyhow::Result<Picture> {
    let bytes = fs::read(path).with_context(|| path.display().to_string())?;
    let limits = Limits {
        bytes: u64::MAX,
        pixels: u64::MAX,
    };
    let picture = picture::decode(&bytes, &limits).map_err(|e| anyhow!("{}: {e}", path.display()))?;
    if (times - 1.0).abs() < f32::EPSILON {
        return Ok(picture);
    }
    let side = |length: u32| ((length as f32 * times).round() as u32).max(1);
    Ok(resized(&picture, side(picture.width), side(picture.height)))
}

impl Tally {
    fn add(
        &mut self,
        picture: &Picture,
        found: &[Found],
        heads: &[[f32; 4]],
        times: f32,
        tell: Option<&str>,
    ) {
        let (width, height) = (picture.width as usize, picture.height as usize);
        let edge = |at: f32, limit: usize| at.clamp(0.0, limit as f32) as usize;
        let mut hidden = vec![false; width * height];
        for Found { rect, .. } in found {
            let columns = edge(rect.left.floor(), width)..edge(rect.right.ceil(), width);
            for y in edge(rect.top.floor(), height)..edge(rect.bottom.ceil(), height) {
                hidden[y * width..][columns.clone()].fill(true);
            }
        }
        self.photos += 1;
        self.area += hidden.iter().filter(|h| **h).count() as f64 / hidden.len() as f64;
        for head in heads {
            let [left, top, right, bottom] = head.map(|at| at * times);
            let size = (right - left).max(bottom - top);
            let (mut all, mut covered) = (0u32, 0u32);
            for y in edge(top.round(), height)..edge(bottom.round(), height) {
                for x in edge(left.round(), width)..edge(right.round(), width) {
                    all += 1;
                    covered += u32::from(hidden[y * width + x]);
                }
            }
            let tally = match size {
                20.0.. => &mut self.of_20,
                12.0.. => &mut self.of_12,
                _ => continue,
            };
            tally.1 += 1;
            let share = f64::from(covered) / f64::from(all.max(1));
            tally.0 += u32::from(share >= HIDDEN);
            if let Some(photo) = tell.filter(|_| share < HIDDEN) {
                println!("   {photo}: {size:.0} px at {left:.0},{top:.0}: {share:.2}");
            }
        }
    }
}

//! Measures the cost of a photo: time by stage, CPU and memory for photos of four sizes, one at a time and with all cores
//! busy.
//!
//! `cargo bench -p imaging --bench photo -- [--json FILE] [PHOTO...]` prints a table and writes the same figures as JSON.
//! Without photos it makes some of the Solvay photograph: original, reduced, and side by side.

#![allow(clippy::panic, reason = "a benchmark ends by panicking where a test does")]
#![expect(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/shapes.rs"]
mod shapes;

use std::{
    fs,
    path::{Path, PathBuf},
    thread,
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use imaging::{
    AnonymizeSettings, Anonymized, anonymize,
    detector::Detector,
    picture::{self, DecodeLimits, Picture},
};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};
use serde::Serialize;
use shapes::resized;

/// Runs of each size, one photo at a time. The result is their median.
const RUNS: usize = 7;
/// Photos per core when all cores are busy.
const PHOTOS_PER_CORE: usize = 6;

const LIMITS: DecodeLimits = DecodeLimits {
    bytes: u64::MAX,
    pixels: u64::MAX,
};

struct Sample {
    name: String,
    jpeg: Vec<u8>,
}

#[derive(Serialize)]
struct PhotoMeasurement {
    photo: String,
    megapixels: f64,
    bytes: usize,
    found: usize,
    decode_ms: f64,
    detect_ms: f64,
    obscure_ms: f64,
    encode_ms: f64,
    wall_ms: f64,
    cpu_seconds: f64,
    peak_mib: u64,
    cores: usize,
    photos_a_minute: f64,
    cpu_seconds_all_cores: f64,
    peak_mib_all_cores: u64,
}

fn main() -> anyhow::Result<()> {
    let (json, photos) = arguments();
    let library = std::env::var_os("ORT_DYLIB_PATH").map_or_else(
        || root().join(".local/onnxruntime/libonnxruntime.so.1.31.1"),
        PathBuf::from,
    );
    let detector = Detector::load(&library)?;
    let samples = if photos.is_empty() { made() } else { read(&photos) }?;
    println!(
        "{:>14} {:>5} {:>6} {:>7} {:>7} {:>7} {:>7} {:>7} {:>7} {:>8} {:>9} {:>7} {:>8}",
        "photo",
        "MP",
        "found",
        "decode",
        "detect",
        "obscure",
        "encode",
        "wall ms",
        "CPU s",
        "peak MiB",
        "all/min",
        "CPU s",
        "peak MiB"
    );
    let mut rows = Vec::new();
    for sample in &samples {
        let row = measured(sample, &detector)?;
        println!(
            "{:>14} {:>5.1} {:>6} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.3} {:>8} {:>9.0} {:>7.3} {:>8}",
            row.photo,
            row.megapixels,
            row.found,
            row.decode_ms,
            row.detect_ms,
            row.obscure_ms,
            row.encode_ms,
            row.wall_ms,
            row.cpu_seconds,
            row.peak_mib,
            row.photos_a_minute,
            row.cpu_seconds_all_cores,
            row.peak_mib_all_cores
        );
        rows.push(row);
    }
    if let Some(path) = json {
        fs::write(&path, serde_json::to_vec_pretty(&rows)?).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn measured(sample: &Sample, detector: &Detector) -> anyhow::Result<PhotoMeasurement> {
    let settings = AnonymizeSettings::default();
    let once = || anonymize(&sample.jpeg, &settings, detector).map_err(|e| anyhow!("{}: {e}", sample.name));
    let warm = once()?;
    forget_peak();
    let mut runs: Vec<(f64, f64, Anonymized)> = Vec::new();
    for _ in 0..RUNS {
        let (begin, cpu) = (Instant::now(), cpu_seconds()?);
        let done = once()?;
        runs.push((begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu, done));
    }
    let peak_mib = peak_mib();
    let median = |of: &dyn Fn(&(f64, f64, Anonymized)) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };

    let cores = thread::available_parallelism()?.get();
    forget_peak();
    let (begin, cpu) = (Instant::now(), cpu_seconds()?);
    thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| scope.spawn(|| (0..PHOTOS_PER_CORE).try_for_each(|_| once().map(drop))))
            .collect();
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| anyhow!("a worker panicked"))?)
    })?;
    let all = (cores * PHOTOS_PER_CORE) as f64;
    let (wall_all, cpu_all) = (begin.elapsed().as_secs_f64(), cpu_seconds()? - cpu);
    Ok(PhotoMeasurement {
        photo: sample.name.clone(),
        megapixels: f64::from(warm.width) * f64::from(warm.height) / 1e6,
        bytes: sample.jpeg.len(),
        found: warm.detections.len(),
        decode_ms: 1e3 * median(&|run| run.2.seconds.decode),
        detect_ms: 1e3 * median(&|run| run.2.seconds.detect),
        obscure_ms: 1e3 * median(&|run| run.2.seconds.obscure),
        encode_ms: 1e3 * median(&|run| run.2.seconds.encode),
        wall_ms: 1e3 * median(&|run| run.0),
        cpu_seconds: median(&|run| run.1),
        peak_mib,
        cores,
        photos_a_minute: 60.0 * all / wall_all,
        cpu_seconds_all_cores: cpu_all / all,
        peak_mib_all_cores: self::peak_mib(),
    })
}

fn arguments() -> (Option<PathBuf>, Vec<PathBuf>) {
    let (mut json, mut photos) = (None, Vec::new());
    let mut arguments = std::env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--json" {
            json = arguments.next().map(PathBuf::from);
        } else if argument != "--bench" {
            photos.push(PathBuf::from(argument));
        }
    }
    (json, photos)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..")
}

fn read(photos: &[PathBuf]) -> anyhow::Result<Vec<Sample>> {
    photos
        .iter()
        .map(|path| {
            Ok(Sample {
                name: path
                    .file_name()
                    .map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
                jpeg: fs::read(path).with_context(|| path.display().to_string())?,
            })
        })
        .collect()
}

/// 0.4, 3, 12 and 24 MP, all with people.
fn made() -> anyhow::Result<Vec<Sample>> {
    let path = root().join("local/photos/Solvay_conference_1927_Version2_2126x1463.jpg");
    let original = fs::read(&path).with_context(|| path.display().to_string())?;
    let picture = picture::decode(&original, &LIMITS)?;
    let sample = |name: &str, jpeg: Vec<u8>| Sample {
        name: name.to_owned(),
        jpeg,
    };
    Ok(vec![
        sample("0.4 MP", picture::encode(&resized(&picture, 762, 524), 90)?),
        sample("3 MP", original),
        sample("12 MP", picture::encode(&side_by_side(&picture, 4200, 2860), 90)?),
        sample("24 MP", picture::encode(&side_by_side(&picture, 6000, 4000), 90)?),
    ])
}

fn side_by_side(picture: &Picture, width: u32, height: u32) -> Picture {
    let mut pixels = Vec::with_capacity(3 * (width * height) as usize);
    for y in 0..height {
        let line = &picture.pixels[(y % picture.height) as usize * picture.stride()..][..picture.stride()];
        pixels.extend(line.iter().cycle().take(3 * width as usize));
    }
    Picture {
        width,
        height,
        pixels,
        ..picture.clone()
    }
}

fn cpu_seconds() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(micros as f64 / 1e6)
}

/// Resets [`peak_mib`] (proc(5), `clear_refs`).
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// Highest resident memory since the reset, MiB; 0 if unknown.
fn peak_mib() -> u64 {
    fs::read_to_string("/proc/self/status")
        .unwrap_or_default()
        .lines()
        .find_map(|line| {
            line.strip_prefix("VmHWM:")?
                .split_whitespace()
                .next()?
                .parse::<u64>()
                .ok()
        })
        .map_or(0, |kib| kib / 1024)
}

//! Shared by the picture tests: the detector, the sample photos, and the positions of the heads in one of them.

#![allow(dead_code, reason = "each test program uses a part")]

pub mod photos;

use std::{
    path::{Path, PathBuf},
    sync::LazyLock,
};

use contract::Detection;
use imaging::{
    Anonymized, Class,
    detector::{Detector, Rect},
    obscure::{ObscureMode, ObscureModes, PixelRect, Region, obscure},
};

/// One detector for all tests of a program.
pub static DETECTOR: LazyLock<Detector> =
    LazyLock::new(|| Detector::load(&library()).unwrap_or_else(|e| panic!("{e}")));

/// ONNX Runtime's library.
pub fn library() -> PathBuf {
    std::env::var_os("ORT_DYLIB_PATH").map_or_else(
        || root().join(".local/onnxruntime/libonnxruntime.so.1.31.1"),
        PathBuf::from,
    )
}

/// The project's root folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .find(|folder| folder.join("Cargo.lock").exists())
        .unwrap_or_else(|| panic!("no Cargo.lock above"))
        .to_owned()
}

/// A sample photo's bytes.
pub fn sample(name: &str) -> Vec<u8> {
    let path = root().join("local/photos").join(name);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// 29 people, 2126 × 1463.
pub const SOLVAY: &str = "Solvay_conference_1927_Version2_2126x1463.jpg";

/// The faces of the Solvay photograph (left, top, right, bottom), as CenterFace's reference implementation finds them;
/// checked by eye.
pub const SOLVAY_FACES: [[f32; 4]; 29] = [
    [788.0, 703.6, 849.9, 779.2],
    [1030.8, 693.3, 1084.2, 757.7],
    [569.2, 706.0, 624.5, 777.3],
    [1190.4, 567.6, 1241.1, 636.7],
    [370.5, 730.3, 426.8, 799.6],
    [1757.5, 505.3, 1806.8, 571.7],
    [1647.8, 571.1, 1695.9, 633.6],
    [1333.6, 580.6, 1384.0, 647.9],
    [669.7, 620.2, 721.5, 686.8],
    [1513.8, 758.7, 1574.5, 835.4],
    [1741.9, 771.6, 1799.7, 838.4],
    [1415.9, 700.4, 1468.0, 774.6],
    [1629.8, 707.8, 1688.2, 782.4],
    [1366.0, 757.9, 1428.7, 836.8],
    [845.5, 585.4, 896.2, 650.8],
    [180.3, 703.7, 236.6, 779.7],
    [404.2, 519.0, 457.5, 589.4],
    [1157.2, 761.1, 1218.7, 840.3],
    [1900.0, 793.4, 1958.4, 863.5],
    [459.6, 786.5, 518.7, 862.9],
    [1835.3, 573.4, 1888.6, 638.9],
    [903.3, 781.2, 965.2, 860.6],
    [1219.2, 686.6, 1274.7, 755.8],
    [1820.5, 718.0, 1878.4, 788.8],
    [561.3, 569.6, 609.3, 634.2],
    [1478.4, 566.8, 1532.9, 638.6],
    [245.9, 772.9, 304.1, 845.2],
    [667.9, 773.2, 725.2, 844.2],
    [1023.6, 612.6, 1073.8, 679.0],
];

/// A face's box, extended to the whole head; slightly smaller than the hidden box.
pub fn head(face: [f32; 4], scale: f32) -> Rect {
    let [left, top, right, bottom] = face.map(|edge| edge * scale);
    let (wide, high) = (right - left, bottom - top);
    Rect {
        left: left - 0.2 * wide,
        top: top - 0.4 * high,
        right: right + 0.2 * wide,
        bottom,
    }
}

/// Measures the share of a rectangle's pixels that lie inside the shapes of the detections.
pub fn coverage(photo: &Anonymized) -> impl Fn(&Rect) -> f32 {
    let (width, height) = (photo.width, photo.height);
    let solid = |detection: &Detection| {
        let class: Class = detection.class.parse().unwrap();
        let &Detection {
            x, y, width, height, ..
        } = detection;
        let rect = PixelRect { x, y, width, height };
        Region::for_object(class, rect, ObscureModes::uniform(ObscureMode::Solid))
    };
    let regions: Vec<Region> = photo.detections.iter().map(solid).collect();
    let mut pixels = vec![0; 3 * width as usize * height as usize];
    obscure(&mut pixels, width, height, &regions);
    let inside: Vec<bool> = pixels.chunks(3).map(|pixel| pixel == [128; 3]).collect();
    move |rect| {
        let (mut all, mut hidden) = (0u32, 0u32);
        for y in rect.top.max(0.0) as u32..rect.bottom as u32 {
            for x in rect.left.max(0.0) as u32..rect.right as u32 {
                all += 1;
                hidden += u32::from(x < width && y < height && inside[(y * width + x) as usize]);
            }
        }
        hidden as f32 / all.max(1) as f32
    }
}

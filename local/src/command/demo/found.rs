//! How many people and faces were found, for a person to read.
//!
//! The service tells every box that was hidden, unsure ones and several of the same person included, since to hide too much is the
//! safe mistake. A count of those says little about a photo.

use serde::Deserialize;

/// From this score on (0 to 1) a detection is counted.
pub const SURE: f64 = 0.5;

/// Boxes are of one thing when they share this much of the smaller one.
const SHARED: f64 = 0.5;

/// A box in pixels of the photo, with what is in it.
#[derive(Clone, Debug, Deserialize)]
pub struct Detection {
    class: String,
    score: f64,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Detection {
    fn same_as(&self, other: &Self) -> bool {
        let shared = |a: f64, a_length: f64, b: f64, b_length: f64| {
            ((a + a_length).min(b + b_length) - a.max(b)).max(0.0)
        };
        let area = shared(self.x, self.width, other.x, other.width)
            * shared(self.y, self.height, other.y, other.height);
        let smaller = (self.width * self.height).min(other.width * other.height);
        area >= SHARED * smaller
    }
}

/// The number of sure things of a class, each counted once.
pub fn count(detections: &[Detection], class: &str) -> usize {
    let mut sure: Vec<&Detection> = detections
        .iter()
        .filter(|one| one.class == class && one.score >= SURE)
        .collect();
    sure.sort_by(|one, other| other.score.total_cmp(&one.score));
    let mut counted: Vec<&Detection> = Vec::new();
    for one in sure {
        if !counted.iter().any(|other| one.same_as(other)) {
            counted.push(one);
        }
    }
    counted.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(class: &str, score: f64, x: f64) -> Detection {
        Detection {
            class: class.into(),
            score,
            x,
            y: 0.0,
            width: 100.0,
            height: 100.0,
        }
    }

    #[test]
    fn each_sure_thing_is_counted_once() {
        let detections = [
            detection("face", 0.9, 0.0),
            detection("face", 0.8, 40.0),
            detection("face", 0.7, 80.0),
            detection("face", 0.3, 500.0),
            detection("person", 0.9, 0.0),
        ];
        assert_eq!(count(&detections, "face"), 2);
        assert_eq!(count(&detections, "person"), 1);
        assert_eq!(count(&detections, "car"), 0);
    }
}

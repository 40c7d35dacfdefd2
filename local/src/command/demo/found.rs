//! How many people and faces were found, for a person to read.
//!
//! The service tells every box that was hidden, unsure ones included, since to
//! hide too much is the safe mistake. A count of those says little about a
//! photo.

use serde::Deserialize;

/// From this score on (0 to 1) a detection is counted.
pub const SURE: f64 = 0.5;

/// What is in a box of the photo.
#[derive(Clone, Debug, Deserialize)]
pub struct Detection {
    class: String,
    score: f64,
}

/// The number of sure things of a class.
pub fn count(detections: &[Detection], class: &str) -> usize {
    let sure = |one: &&Detection| one.class == class && one.score >= SURE;
    detections.iter().filter(sure).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sure_things_of_a_class_are_counted() {
        let detections =
            [("face", 0.9), ("face", 0.5), ("face", 0.3), ("person", 0.9)].map(|(class, score)| Detection {
                class: class.into(),
                score,
            });
        assert_eq!(count(&detections, "face"), 2);
        assert_eq!(count(&detections, "person"), 1);
        assert_eq!(count(&detections, "car"), 0);
    }
}

//! What is wrong with the pods, told once and from time to time again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use super::super::locked;
use crate::follow::{Sink, Stop};

/// What is still wrong is told again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// What was told, and when.
#[derive(Clone, Debug, Default)]
pub struct Told(Arc<Mutex<HashMap<String, Instant>>>);

impl Told {
    /// Says it, unless it was said just now.
    pub fn tell(&self, text: String, sink: &Sink) -> Result<(), Stop> {
        let now = Instant::now();
        let before = locked(&self.0).insert(text.clone(), now);
        if before.is_some_and(|before| now.duration_since(before) < AGAIN) {
            return Ok(());
        }
        sink.note(text)
    }
}

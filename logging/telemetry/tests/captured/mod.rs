//! A subscriber whose lines a test can read.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use telemetry::{Guard, Service};
use tracing::Subscriber;

pub const SERVICE: Service = Service::new("irmgard", "1.2.3");

#[derive(Clone, Default)]
pub struct CapturedLines(Arc<Mutex<Vec<Vec<u8>>>>);

impl Write for CapturedLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl CapturedLines {
    /// Each write as text: one line, or the writer has done something else.
    pub fn raw(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|line| String::from_utf8(line.clone()).unwrap())
            .collect()
    }

    pub fn json(&self) -> Vec<Value> {
        self.raw()
            .iter()
            .map(|line| {
                assert!(
                    line.ends_with('\n') && line.matches('\n').count() == 1,
                    "{line:?}"
                );
                serde_json::from_str(line).unwrap()
            })
            .collect()
    }
}

pub fn env<'a>(variables: &[(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let map: BTreeMap<String, String> = [("K8S_LABELS_FILE", "/nonexistent")]
        .iter()
        .chain(variables)
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    move |name| map.get(name).cloned()
}

pub fn subscriber(
    variables: &[(&str, &str)],
) -> (impl Subscriber + Send + Sync + use<>, Guard, CapturedLines) {
    let lines = CapturedLines::default();
    let (subscriber, guard) =
        telemetry::subscriber(SERVICE, &env(variables), Box::new(lines.clone())).unwrap();
    (subscriber, guard, lines)
}

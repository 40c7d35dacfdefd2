//! The cases in `fluentd/golden`: files as the kubelet writes them, with the
//! documents that must come out. Fluentd is held to the very same.
//! `UPDATE=1 cargo test -p line --test golden` writes what comes out.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use line::{Cri, Document, Joiner, Line, Origin, Place, Pods, Time, conforms, normalize};
use schema::{field, tag};
use serde_json::{Map, Value};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fluentd/golden")
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

/// The files of a container, the oldest first: rotated ones by their date,
/// then those of each start.
fn files(container: &Path) -> Vec<PathBuf> {
    let mut files = entries(container);
    files.retain(|file| file.extension().is_none_or(|extension| extension != "gz"));
    files.sort_by_key(|file| {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let start = name
            .strip_suffix(".log")
            .map(|number| number.parse::<u32>().unwrap());
        (start, name)
    });
    files
}

/// A line's document by what they are sorted: the runtime's time, then the id.
type Documents = BTreeMap<(Option<Time>, String), Document>;

fn read_container(folder: &Path, pods: &Pods, documents: &mut Documents) {
    let files = files(folder);
    let origin = pods.origin(Place::of_file(&files[0]).unwrap());
    let mut joiner = Joiner::new();
    let mut take = |line: Line<'_>| keep(documents, &line, &origin);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        for line in lines.split(|byte| *byte == b'\n') {
            match Cri::parse(line) {
                Some(cri) => joiner.push(Line::cri(&cri, 0), cri.partial, Duration::ZERO, &mut take),
                None => take(Line::unmatched(line, Some(Time::from_nanos(0)), 0)),
            }
        }
    }
    joiner.flush(&mut take);
}

fn keep(documents: &mut Documents, line: &Line<'_>, origin: &Origin) {
    let document = normalize(line, origin);
    assert_eq!(conforms(&document), Ok(()), "{}", document.to_json());
    let time = line.time.filter(|_| !line.unmatched);
    documents.insert((time, document.id().unwrap().to_owned()), document);
}

/// A document as the case has it: with its stream, and without the time
/// of what has only been read.
fn expected(document: &Document) -> Map<String, Value> {
    let mut members = document.members().clone();
    if document.has_tag(tag::UNMATCHED_CRI) {
        members.remove(field::TIMESTAMP);
    }
    members.insert("_stream".to_owned(), document.stream().into());
    members
}

#[test]
fn every_case_gives_its_documents() {
    let pods = Pods::read(&fs::read(golden().join("pods.json")).unwrap()).unwrap();
    let cases: Vec<PathBuf> = entries(&golden())
        .into_iter()
        .filter(|path| path.is_dir())
        .collect();
    assert!(cases.len() >= 10, "{cases:?}");
    for case in cases {
        let mut documents = Documents::new();
        for pod in entries(&case.join("pods")) {
            for container in entries(&pod) {
                read_container(&container, &pods, &mut documents);
            }
        }
        assert!(!documents.is_empty(), "{}", case.display());
        compare(&case.join("expected.jsonl"), documents.values().map(expected));
    }
}

fn compare(file: &Path, documents: impl Iterator<Item = Map<String, Value>>) {
    let documents: Vec<Map<String, Value>> = documents.collect();
    if std::env::var_os("UPDATE").is_some() {
        let lines = documents.iter().map(|document| {
            let json = serde_json::to_string(document).unwrap();
            json + "\n"
        });
        fs::write(file, lines.collect::<String>()).unwrap();
    }
    let written = fs::read_to_string(file).unwrap_or_default();
    // Read and written again: the order of keys and of digits is free.
    let written: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (number, (written, document)) in written.iter().zip(documents.iter().cloned()).enumerate() {
        let (written, document) = (written.to_string(), Value::Object(document).to_string());
        assert_eq!(document, written, "{}:{}", file.display(), number + 1);
    }
    assert_eq!(documents.len(), written.len(), "{}", file.display());
}

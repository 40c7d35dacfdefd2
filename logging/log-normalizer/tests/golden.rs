//! The cases in `fluentd/golden`: files in the kubelet's format, with the expected documents. Fluentd must give the same
//! documents. `make generate` writes them.

#![expect(clippy::unwrap_used, reason = "in a test, a panic is how it fails")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use log_normalizer::{
    ContainerRef, Cri, Document, Joiner, Origin, PodList, RawLine, Time, conforms, normalize,
};
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

/// The files of a container, oldest first: rotated files by date, then the file of each start.
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

/// Documents, sorted by the runtime's time and the id.
type Documents = BTreeMap<(Option<Time>, String), Document>;

fn read_container(folder: &Path, pods: &PodList, documents: &mut Documents) {
    let files = files(folder);
    let origin = pods.origin(ContainerRef::from_log_path(&files[0]).unwrap());
    let mut joiner = Joiner::new();
    let mut take = |line: RawLine<'_>| keep(documents, &line, &origin);
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let lines = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
        for line in lines.split(|byte| *byte == b'\n') {
            match Cri::parse(line) {
                Some(cri) => joiner.push(RawLine::cri(&cri, 0), cri.partial, Duration::ZERO, &mut take),
                None => take(RawLine::unmatched(line, Some(Time::from_nanos(0)), 0)),
            }
        }
    }
    joiner.flush(&mut take);
}

fn keep(documents: &mut Documents, line: &RawLine<'_>, origin: &Origin) {
    let document = normalize(line, origin);
    assert_eq!(conforms(&document), Ok(()), "{}", document.to_json());
    let time = line.time.filter(|_| !line.unmatched);
    documents.insert((time, document.id().unwrap().to_owned()), document);
}

/// A document in the form of a case: with its stream, and without the time of reading.
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
    let pods = PodList::read(&fs::read(golden().join("pods.json")).unwrap()).unwrap();
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
    // Parsed and written again, because the order of keys and the form of numbers are free.
    let written: Vec<Value> = written
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for (number, (written, document)) in written.iter().zip(documents.iter().cloned()).enumerate() {
        let (written, document) = (written.to_string(), Value::Object(document).to_string());
        assert_eq!(
            document,
            written,
            "{}:{}: if the code is right, run `make generate`",
            file.display(),
            number + 1
        );
    }
    assert_eq!(
        documents.len(),
        written.len(),
        "{}: if the code is right, run `make generate`",
        file.display()
    );
}

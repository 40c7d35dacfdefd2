use std::{path::Path, time::Duration};

use log_normalizer::{
    ContainerRef, Cri, Document, Joiner, Metadata, Origin, PodContainer, RawLine, Time, conforms, normalize,
};

/// Any bytes in a file become documents that an index accepts, and the same ones each time.
pub fn check(file: &[u8]) {
    let place = ContainerRef::from_log_path(Path::new("a_b_c/d/0.log")).unwrap();
    for origin in [
        Origin::Pod(PodContainer::new(place, &Metadata::default())),
        Origin::Source("file".to_owned()),
    ] {
        let documents = read(file, &origin);
        assert_eq!(read(file, &origin), documents);
        for document in documents {
            assert_eq!(conforms(&document), Ok(()), "{}", document.to_json());
            let again = Document::from_json(document.to_json().as_bytes()).unwrap();
            assert_eq!(again, document);
        }
    }
}

fn read(file: &[u8], origin: &Origin) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut keep = |line: RawLine<'_>| documents.push(normalize(&line, origin));
    let mut joiner = Joiner::new();
    let now = Time::from_nanos(0);
    for (offset, line) in (0..).zip(file.split(|byte| *byte == b'\n')) {
        let (line, partial) = match Cri::parse(line) {
            Some(cri) => (RawLine::cri(&cri, offset), cri.partial),
            None if matches!(origin, Origin::Pod(_)) => (RawLine::unmatched(line, Some(now), offset), false),
            None => (RawLine::timed(now, line, offset), false),
        };
        joiner.push(line, partial, Duration::ZERO, &mut keep);
    }
    joiner.flush(&mut keep);
    documents
}

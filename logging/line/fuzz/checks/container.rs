use std::{path::Path, time::Duration};

use line::{Cri, Document, Joiner, Line, Metadata, Origin, Place, Pod, Time, conforms, normalize};

/// Whatever lies in a pod's file, or in any other, becomes documents that an
/// index takes; the same ones each time.
pub fn check(file: &[u8]) {
    let place = Place::of_file(Path::new("a_b_c/d/0.log")).unwrap();
    for origin in [
        Origin::Pod(Pod::new(place, &Metadata::default())),
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
    let mut keep = |line: Line<'_>| documents.push(normalize(&line, origin));
    let mut joiner = Joiner::new();
    let now = Time::from_nanos(0);
    for (offset, line) in (0..).zip(file.split(|byte| *byte == b'\n')) {
        let (line, partial) = match Cri::parse(line) {
            Some(cri) => (Line::cri(&cri, offset), cri.partial),
            None if matches!(origin, Origin::Pod(_)) => (Line::unmatched(line, Some(now), offset), false),
            None => (Line::timed(now, line, offset), false),
        };
        joiner.push(line, partial, Duration::ZERO, &mut keep);
    }
    joiner.flush(&mut keep);
    documents
}

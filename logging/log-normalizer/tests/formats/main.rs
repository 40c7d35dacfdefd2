//! Lines of common programs, from their documentation, with the expected level and time.

mod json;
mod text;

use log_normalizer::{Cri, Document, Joiner, Origin, RawLine, conforms, normalize, timestamped};

/// 2026-11-22T10:49:43.101Z, the time of most lines.
const TIME: &str = "2026-11-22T10:49:43.101000000Z";
const SECOND: &str = "2026-11-22T10:49:43.000000000Z";

fn documents(text: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut take = |line: RawLine<'_>| {
        let document = normalize(&line, &Origin::Source("file".to_owned()));
        assert_eq!(
            conforms(&document).map_err(|_| ()),
            if document.timestamp().is_some() {
                Ok(())
            } else {
                Err(())
            }
        );
        documents.push(document);
    };
    let mut joiner = Joiner::new();
    for line in text.split('\n').map(str::as_bytes) {
        let (line, partial) = match (Cri::parse(line), timestamped(line)) {
            (Some(cri), _) => (RawLine::cri(&cri, 0), cri.partial),
            (None, Some((time, content))) => (RawLine::timed(time, content, 0), false),
            (None, None) => (RawLine::plain(line, 0), false),
        };
        joiner.push(line, partial, std::time::Duration::ZERO, &mut take);
    }
    joiner.flush(&mut take);
    documents
}

/// Checks lines that are one document each: level, time, line.
fn check(lines: &[(Option<&str>, Option<&str>, &str)]) {
    for (level, time, line) in lines {
        let documents = documents(line);
        assert_eq!(documents.len(), 1, "{line}");
        let document = &documents[0];
        let found = document.timestamp().map(|time| time.to_string());
        assert_eq!((document.level(), found.as_deref()), (*level, *time), "{line}");
    }
}

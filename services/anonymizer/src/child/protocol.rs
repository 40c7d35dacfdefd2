//! What worker and child process say to each other.
//!
//! Both ways: the length of a JSON header (four bytes, big-endian), the
//! header, and then the bytes of a picture: the original on the child's stdin,
//! the anonymised one on its stdout. Nothing else goes to the child's stdout,
//! and a reply that is not complete counts as none.

use std::io::{self, Read, Write};

use contract::{Detection, FailureReason};
use imaging::Checks;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// A header is a list of detections at most.
const MAX_HEADER_BYTES: u32 = 16 << 20;

/// What the child is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The photo's number; only failpoints look at it.
    pub photo: i64,
    /// The child's own limit on its memory, bytes.
    pub memory_bytes: u64,
    /// The child's own limit on its CPU time, seconds.
    pub cpu_seconds: u64,
    /// Length of the photo that follows, bytes.
    pub length: u64,
}

/// What the child answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Reply {
    /// The anonymised JPEG follows.
    Anonymized {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
        /// What was obscured.
        detections: Vec<Detection>,
        /// What the detector's own checks came to.
        checks: Checks,
        /// Stages and their seconds.
        stages: Vec<(String, f64)>,
        /// Length of the JPEG that follows, bytes.
        length: u64,
    },
    /// The photo cannot be anonymised.
    Refused {
        /// Stable code.
        reason: FailureReason,
        /// What happened.
        detail: String,
    },
    /// The child could not even begin; nothing is said about the photo.
    NotReady {
        /// What happened.
        detail: String,
    },
}

/// Writes a header, and leaves the writer where the picture's bytes go.
///
/// # Errors
/// When writing fails.
pub fn write_header(writer: &mut impl Write, header: &impl Serialize) -> io::Result<()> {
    writer.write_all(&header_bytes(header)?)
}

/// A header with its length before it.
///
/// # Errors
/// When it cannot be written as JSON, or is longer than a reader takes.
pub fn header_bytes(header: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header)?;
    let length = u32::try_from(json.len())
        .ok()
        .filter(|length| *length <= MAX_HEADER_BYTES)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "header too long"))?;
    Ok([&length.to_be_bytes(), json.as_slice()].concat())
}

/// Reads a header.
///
/// # Errors
/// When reading fails, or what is read is no header.
pub fn read_header<T: DeserializeOwned>(reader: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "header too long"));
    }
    let mut json = vec![0; length as usize];
    reader.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Reads the whole reply out of what the child wrote; `None` when it is not
/// complete, or more than that.
#[must_use]
pub fn parse_reply(mut stdout: Vec<u8>) -> Option<(Reply, Vec<u8>)> {
    let mut rest = stdout.as_slice();
    let reply: Reply = read_header(&mut rest).ok()?;
    let expected = match &reply {
        Reply::Anonymized { length, .. } => *length,
        Reply::Refused { .. } | Reply::NotReady { .. } => 0,
    };
    let length = rest.len();
    stdout.drain(..stdout.len() - length);
    (u64::try_from(length) == Ok(expected)).then_some((reply, stdout))
}

#[cfg(test)]
mod tests {
    use contract::Class;
    use proptest::prelude::*;

    use super::*;

    fn reply(length: u64) -> Reply {
        Reply::Anonymized {
            width: 640,
            height: 480,
            detections: vec![Detection {
                class: Class::Face,
                score: 0.5,
                x: 1,
                y: 2,
                width: 3,
                height: 4,
            }],
            checks: Checks::default(),
            stages: vec![("decode".to_owned(), 0.25)],
            length,
        }
    }

    #[test]
    fn reply_is_read_back() {
        let mut stdout = Vec::new();
        write_header(&mut stdout, &reply(3)).unwrap();
        stdout.extend(b"abc");
        assert_eq!(parse_reply(stdout), Some((reply(3), b"abc".to_vec())));
    }

    #[test]
    fn refusal_is_read_back() {
        let refused = Reply::Refused {
            reason: FailureReason::CorruptImage,
            detail: "cut off".to_owned(),
        };
        assert_eq!(
            parse_reply(header_bytes(&refused).unwrap()),
            Some((refused, Vec::new()))
        );
    }

    #[test]
    fn reply_with_a_part_missing_is_none() {
        let mut stdout = header_bytes(&reply(3)).unwrap();
        stdout.extend(b"abc");
        for end in 0..stdout.len() {
            assert_eq!(parse_reply(stdout[..end].to_vec()), None, "{end}");
        }
        stdout.push(b'd');
        assert_eq!(parse_reply(stdout), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_reply_or_none(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_reply(bytes);
        }
    }
}

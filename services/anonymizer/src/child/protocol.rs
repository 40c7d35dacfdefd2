//! The protocol between the worker and its child process.
//!
//! Both directions have the same format: the length of a JSON header (four bytes, big-endian), the header, and the
//! bytes of a picture. The child reads the original from stdin and writes the anonymised picture to stdout. The child
//! writes nothing else to stdout. An incomplete reply counts as no reply.

use std::io::{self, Read, Write};

use contract::FailureReason;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::attempt::PhotoSummary;

/// Maximum length of a header. The longest header is a list of detections.
const MAX_HEADER_BYTES: u32 = 16 << 20;

/// The header of a photo for the child.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The photo's id; only failpoints use it.
    pub photo: i64,
    /// Memory limit of the child, in bytes.
    pub memory_bytes: u64,
    /// CPU time limit of the child, in seconds.
    pub cpu_seconds: u64,
    /// Length of the photo that follows, in bytes.
    pub length: u64,
}

/// The header of the child's reply.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "lowercase")]
pub enum Reply {
    /// The anonymised JPEG follows.
    Anonymized {
        #[serde(flatten)]
        summary: PhotoSummary,
        /// Length of the JPEG that follows, in bytes.
        length: u64,
    },
    /// The photo cannot be anonymised.
    Refused { reason: FailureReason, detail: String },
    /// The child could not start its work. This says nothing about the photo.
    NotReady { detail: String },
}

/// Writes a header. The bytes of the picture follow it.
///
/// # Errors
/// If the header is too long or writing fails.
pub fn write_header(writer: &mut impl Write, header: &impl Serialize) -> io::Result<()> {
    writer.write_all(&encode_header(header)?)
}

/// Encodes a header, with its length in front.
///
/// # Errors
/// If the header cannot be written as JSON or is longer than `MAX_HEADER_BYTES`.
pub fn encode_header(header: &impl Serialize) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(header)?;
    let length = u32::try_from(json.len())
        .ok()
        .filter(|length| *length <= MAX_HEADER_BYTES)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the header is too long"))?;
    Ok([&length.to_be_bytes(), json.as_slice()].concat())
}

/// Reads a header.
///
/// # Errors
/// If reading fails or the bytes are not a valid header.
pub fn read_header<T: DeserializeOwned>(reader: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_HEADER_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the header is too long",
        ));
    }
    let mut json = vec![0; length as usize];
    reader.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
}

/// Parses all that the child wrote to stdout. `None` unless that is exactly one complete reply.
#[must_use]
pub fn parse_reply(mut stdout: Vec<u8>) -> Option<(Reply, Vec<u8>)> {
    let mut picture = stdout.as_slice();
    let reply: Reply = read_header(&mut picture).ok()?;
    let expected = match &reply {
        Reply::Anonymized { length, .. } => *length,
        Reply::Refused { .. } | Reply::NotReady { .. } => 0,
    };
    let length = picture.len();
    stdout.drain(..stdout.len() - length);
    (u64::try_from(length) == Ok(expected)).then_some((reply, stdout))
}

#[cfg(test)]
mod tests {
    use contract::Detection;
    use imaging::Checks;
    use proptest::prelude::*;

    use super::*;

    fn reply(length: u64) -> Reply {
        Reply::Anonymized {
            summary: PhotoSummary {
                width: 640,
                height: 480,
                detections: vec![Detection {
                    class: "face".to_owned(),
                    score: 0.5,
                    x: 1,
                    y: 2,
                    width: 3,
                    height: 4,
                }],
                checks: Checks::default(),
                stages: vec![("decode".to_owned(), 0.25)],
            },
            length,
        }
    }

    #[test]
    fn reply_round_trips() {
        let mut stdout = Vec::new();
        write_header(&mut stdout, &reply(3)).unwrap();
        stdout.extend(b"abc");
        assert_eq!(parse_reply(stdout), Some((reply(3), b"abc".to_vec())));
    }

    #[test]
    fn refusal_round_trips() {
        let refused = Reply::Refused {
            reason: FailureReason::CorruptImage,
            detail: "cut off".to_owned(),
        };
        assert_eq!(
            parse_reply(encode_header(&refused).unwrap()),
            Some((refused, Vec::new()))
        );
    }

    #[test]
    fn incomplete_or_longer_reply_is_rejected() {
        let mut stdout = encode_header(&reply(3)).unwrap();
        stdout.extend(b"abc");
        for end in 0..stdout.len() {
            assert_eq!(parse_reply(stdout[..end].to_vec()), None, "{end}");
        }
        stdout.push(b'd');
        assert_eq!(parse_reply(stdout), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_reply(bytes);
        }
    }
}

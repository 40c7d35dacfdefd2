use contract::media::{HeaderError, orientation, read_header, taken_at};

/// Maximum length of a head whose prefixes are all tried.
const MAX_BYTES: usize = 4096;

/// Any bytes are read without a panic, and the header does not depend on the number of received bytes.
pub fn check(photo: &[u8]) {
    assert!((1..=8).contains(&orientation(photo)));
    let _ = taken_at(photo);
    let photo = &photo[..photo.len().min(MAX_BYTES)];
    let whole = read_header(photo);
    if let Ok(header) = whole {
        assert!(header.width > 0 && header.height > 0);
    }
    for length in 0..photo.len() {
        let begun = read_header(&photo[..length]);
        assert!(
            begun == whole || begun == Err(HeaderError::Incomplete),
            "{begun:?} of {length} bytes, {whole:?} of all {}",
            photo.len()
        );
    }
}

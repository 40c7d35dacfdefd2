//! Values of [`crate::field::TAGS`].

/// The line begins like a JSON object but is not one; it is kept as text.
pub const UNPARSED_JSON: &str = "unparsed-json";
/// The line was not UTF-8; invalid bytes are replaced by U+FFFD.
pub const SCRUBBED: &str = "scrubbed";
/// The line was longer than [`crate::MAX_CONTENT_BYTES`]; its end is missing.
pub const CUT: &str = "cut";
/// A line of a pod's file that the kubelet did not write; kept whole.
pub const UNMATCHED_CRI: &str = "unmatched-cri";

/// The meaning of each tag, for people.
pub const MEANINGS: [(&str, &str); 4] = [
    (
        UNPARSED_JSON,
        "The line begins with `{` but is not a JSON object; it was kept as text.",
    ),
    (
        SCRUBBED,
        "The line was not UTF-8; invalid bytes were replaced by U+FFFD.",
    ),
    (CUT, "The line was longer than 1 MiB; its end is missing."),
    (
        UNMATCHED_CRI,
        "A line of a pod's file that the kubelet did not write; kept whole.",
    ),
];

//! What can be special about a line: the values of [`crate::field::TAGS`].

/// It begins like a JSON object and is none; it was kept as text.
pub const UNPARSED_JSON: &str = "unparsed-json";
/// It was no UTF-8: what is none was replaced by U+FFFD.
pub const SCRUBBED: &str = "scrubbed";
/// It was longer than [`crate::MAX_CONTENT_BYTES`]; its end is missing.
pub const CUT: &str = "cut";
/// A line of a pod's file that the kubelet did not write; kept whole.
pub const UNMATCHED_CRI: &str = "unmatched-cri";

/// Each tag with what it says, for people.
pub const MEANINGS: [(&str, &str); 4] = [
    (
        UNPARSED_JSON,
        "It begins with `{` and is no JSON object; it was kept as text.",
    ),
    (SCRUBBED, "It was no UTF-8: what is none was replaced by U+FFFD."),
    (CUT, "It was longer than 1 MiB; its end is missing."),
    (
        UNMATCHED_CRI,
        "A line of a pod's file that the kubelet did not write; kept whole.",
    ),
];

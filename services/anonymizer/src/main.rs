//! `anonymizer`.
fn main() {}

//! `irmgard`.
fn main() {}

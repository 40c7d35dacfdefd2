//! `irmgard`.

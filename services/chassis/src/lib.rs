//! `chassis`.

//! `anonymizer`.

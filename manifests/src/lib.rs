//! Builds the manifests as `kubectl apply -k` does, and reads the result. For tests only.
//!
//! Architecture invariant: nothing here changes the folder of the manifests, which may contain a person's secrets. Builds use a
//! copy with new secrets.

#![allow(missing_docs, reason = "a name that says it all needs no comment")]

pub mod environment;
pub mod network_policy;
pub mod object;
pub mod tools;
mod tree;

pub use object::Object;
pub use tree::Tree;

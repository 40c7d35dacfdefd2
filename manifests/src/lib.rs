//! Builds the manifests as `kubectl apply -k` does, and reads what comes out. For tests only.
//!
//! Architecture invariant: nothing here touches the folder of the manifests, in which a person's secrets may lie: it works on a
//! copy, with secrets of its own.

pub mod environment;
pub mod object;
pub mod tools;
mod tree;

pub use object::Object;
pub use tree::Tree;

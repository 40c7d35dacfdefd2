//! Tests run the real Fluentd with the configuration and plugins of this folder. Log files look like the kubelet's, and
//! one server stands in for OpenSearch and Kubernetes.

pub mod kubelet;
pub mod process;
pub mod servers;
pub mod tls_proxy;

use std::path::PathBuf;

/// The folder with `fluent.conf`, `plugins` and `golden`.
#[must_use]
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

//! Environment variables by which a workload tells its programs where they
//! run (Kubernetes downward API).

/// `metadata.namespace`.
pub const NAMESPACE: &str = "K8S_NAMESPACE";
/// `metadata.name`.
pub const POD_NAME: &str = "K8S_POD_NAME";
/// `metadata.uid`.
pub const POD_UID: &str = "K8S_POD_UID";
/// The container's name; the downward API has no field for it, so it is
/// written out in the workload.
pub const CONTAINER_NAME: &str = "K8S_CONTAINER_NAME";
/// `spec.nodeName`.
pub const NODE_NAME: &str = "K8S_NODE_NAME";
/// Labels as `name=value,name=value`, for workloads without the volume.
pub const POD_LABELS: &str = "K8S_POD_LABELS";
/// Where the downward volume has put `metadata.labels`.
pub const LABELS_FILE: &str = "K8S_LABELS_FILE";
/// The default of [`LABELS_FILE`].
pub const DEFAULT_LABELS_FILE: &str = "/etc/podinfo/labels";

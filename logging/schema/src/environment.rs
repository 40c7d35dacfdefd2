//! Environment variables with the pod of a program (Kubernetes downward API).

/// Makes a constant of each variable and a row of [`SOURCES`].
macro_rules! variables {
    ($count:literal: $($constant:ident $name:literal $source:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $source)]
            pub const $constant: &str = $name;
        )*

        /// The source of each variable's value, for people.
        pub const SOURCES: [(&str, &str); $count] = [$(($constant, $source)),*];
    };
}

variables! { 7:
    NAMESPACE "K8S_NAMESPACE" "`metadata.namespace`"
    POD_NAME "K8S_POD_NAME" "`metadata.name`"
    POD_UID "K8S_POD_UID" "`metadata.uid`"
    CONTAINER_NAME "K8S_CONTAINER_NAME" "The container's name, written out: the downward API has no field for it."
    NODE_NAME "K8S_NODE_NAME" "`spec.nodeName`"
    LABELS_FILE "K8S_LABELS_FILE" "Where a downward volume has put `metadata.labels`; `/etc/podinfo/labels` unless set."
    POD_LABELS "K8S_POD_LABELS" "Labels as `name=value,name=value`, for a workload without that volume."
}

/// The default of [`LABELS_FILE`].
pub const DEFAULT_LABELS_FILE: &str = "/etc/podinfo/labels";

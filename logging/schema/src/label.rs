//! Kubernetes labels that say whose lines a pod's lines are.

/// The component that the pod runs.
pub const NAME: &str = "app.kubernetes.io/name";
/// The installation that it belongs to.
pub const INSTANCE: &str = "app.kubernetes.io/instance";
/// The program's version.
pub const VERSION: &str = "app.kubernetes.io/version";
/// The role within the system.
pub const COMPONENT: &str = "app.kubernetes.io/component";
/// The system: `irmgard`.
pub const PART_OF: &str = "app.kubernetes.io/part-of";
/// The component whose database lines belong to this workload.
pub const USES_DATABASE: &str = "irmgard.dev/uses-database";
/// The component whose broker lines belong to this workload.
pub const USES_QUEUE: &str = "irmgard.dev/uses-queue";
/// The component whose object store lines belong to this workload.
pub const USES_STORE: &str = "irmgard.dev/uses-store";

/// The labels above, the most telling first: what a line keeps when a pod has
/// more labels than fit.
pub const ALL: [&str; 8] = [
    NAME,
    USES_DATABASE,
    USES_QUEUE,
    USES_STORE,
    INSTANCE,
    VERSION,
    COMPONENT,
    PART_OF,
];

//! Kubernetes labels that name the component of a pod.

/// Makes a constant of each label and a row of [`MEANINGS`].
macro_rules! labels {
    ($count:literal: $($constant:ident $name:literal $meaning:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        /// The labels, the most important first. A line keeps these if not all labels of a pod fit.
        pub const ALL: [&str; $count] = [$($constant),*];

        /// The meaning of each label, for people.
        pub const MEANINGS: [(&str, &str); $count] = [$(($constant, $meaning)),*];
    };
}

labels! { 8:
    NAME "app.kubernetes.io/name" "The component that the pod runs."
    USES_DATABASE "irmgard.dev/uses-database" "The component that is this workload's database."
    USES_QUEUE "irmgard.dev/uses-queue" "The component that is this workload's broker."
    USES_STORE "irmgard.dev/uses-store" "The component that is this workload's object store."
    INSTANCE "app.kubernetes.io/instance" "The installation that the pod belongs to."
    VERSION "app.kubernetes.io/version" "The program's version."
    COMPONENT "app.kubernetes.io/component" "The role within the system."
    PART_OF "app.kubernetes.io/part-of" "The system: `irmgard`."
}

/// Prefixes of labels that are separate keywords; all others share one flat object.
pub const OWN_PREFIXES: [&str; 2] = ["app.kubernetes.io/", "irmgard.dev/"];

/// Labels that name the component of a pod; the first existing one counts.
pub const COMPONENT_NAMES: [&str; 3] = [NAME, "k8s-app", "app"];

/// The name of a label in `kubernetes.labels`, where a dot would begin a nested object: `app_kubernetes_io/name`. `None`
/// for a label in `kubernetes.other_labels`, which keeps its name.
#[must_use]
pub fn stored(name: &str) -> Option<String> {
    OWN_PREFIXES
        .iter()
        .any(|prefix| name.starts_with(prefix))
        .then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_name_the_component_are_separate_keywords() {
        for name in ALL {
            assert!(stored(name).is_some_and(|stored| !stored.contains('.')), "{name}");
        }
        assert_eq!(stored(NAME).as_deref(), Some("app_kubernetes_io/name"));
        assert_eq!(
            stored(USES_DATABASE).as_deref(),
            Some("irmgard_dev/uses-database")
        );
        assert_eq!(stored("app"), None);
        assert_eq!(stored("helm.sh/chart"), None);
    }
}

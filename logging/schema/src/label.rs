//! Kubernetes labels that say whose lines a pod's lines are.

/// Makes a constant of each label and a row of [`MEANINGS`].
macro_rules! labels {
    ($count:literal: $($constant:ident $name:literal $meaning:literal)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning)]
            pub const $constant: &str = $name;
        )*

        /// The labels, the most telling first: what a line keeps when a pod
        /// has more labels than fit.
        pub const ALL: [&str; $count] = [$($constant),*];

        /// Each label with what it says, for people.
        pub const MEANINGS: [(&str, &str); $count] = [$(($constant, $meaning)),*];
    };
}

labels! { 8:
    NAME "app.kubernetes.io/name" "The component that the pod runs."
    USES_DATABASE "irmgard.dev/uses-database" "The component whose lines are those of this workload's database."
    USES_QUEUE "irmgard.dev/uses-queue" "The component whose lines are those of this workload's broker."
    USES_STORE "irmgard.dev/uses-store" "The component whose lines are those of this workload's object store."
    INSTANCE "app.kubernetes.io/instance" "The installation that it belongs to."
    VERSION "app.kubernetes.io/version" "The program's version."
    COMPONENT "app.kubernetes.io/component" "The role within the system."
    PART_OF "app.kubernetes.io/part-of" "The system: `irmgard`."
}

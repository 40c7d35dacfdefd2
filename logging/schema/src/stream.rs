//! Data streams: which one holds a component's lines.

use crate::component;

/// What the name of each data stream begins with.
pub const PREFIX: &str = "logs-";

/// The stream of all that has none of its own.
pub const OTHER: &str = "logs-other";

/// Every data stream.
pub const ALL: [&str; 9] = [
    "logs-irmgard",
    "logs-anonymizer",
    "logs-postgres",
    "logs-rabbitmq",
    "logs-object-store",
    "logs-opensearch",
    "logs-fluentd",
    "logs-logq",
    OTHER,
];

/// The data stream of a component's lines. A name that is none of ours never
/// makes a stream of its own: whoever labels a pod could make any number.
#[must_use]
pub fn of(component: &str) -> &'static str {
    if component::ALL.contains(&component) {
        ALL.into_iter()
            .find(|stream| stream.strip_prefix(PREFIX) == Some(component))
            .unwrap_or(OTHER)
    } else {
        OTHER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_stream() {
        for component in component::ALL {
            assert_eq!(of(component), format!("{PREFIX}{component}"));
        }
        assert_eq!(ALL.len(), component::ALL.len() + 1);
    }

    #[test]
    fn others_share_one() {
        for component in ["", "other", "etcd", "irmgard2", "Irmgard", "*"] {
            assert_eq!(of(component), OTHER, "{component}");
        }
    }
}

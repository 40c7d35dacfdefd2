//! Streams: whose lines are kept together, each in a data stream of its own.

use crate::component;

/// What the name of each data stream begins with; a stream's name follows.
pub const PREFIX: &str = "logs-";

/// The stream of all lines that have none of their own.
pub const OTHER: &str = "other";

/// Every stream.
pub const ALL: [&str; 9] = [
    component::IRMGARD,
    component::ANONYMIZER,
    component::POSTGRES,
    component::RABBITMQ,
    component::OBJECT_STORE,
    component::OPENSEARCH,
    component::FLUENTD,
    component::LOGQ,
    OTHER,
];

/// The stream of a component's lines. A name that is none of ours never makes
/// a stream of its own: whoever labels a pod could make any number.
#[must_use]
pub fn of(component: &str) -> &'static str {
    ALL.into_iter()
        .find(|stream| *stream == component)
        .unwrap_or(OTHER)
}

/// The name of a stream's data stream, `logs-irmgard`.
#[must_use]
pub fn data_stream(stream: &str) -> String {
    format!("{PREFIX}{stream}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_component_has_its_stream() {
        for component in component::ALL {
            assert_eq!(of(component), component);
        }
        assert_eq!(ALL.len(), component::ALL.len() + 1);
        assert_eq!(data_stream(of("irmgard")), "logs-irmgard");
    }

    #[test]
    fn others_share_one() {
        for component in ["", "other", "etcd", "irmgard2", "Irmgard", "*"] {
            assert_eq!(of(component), OTHER, "{component}");
        }
    }
}

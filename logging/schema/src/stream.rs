//! Streams: groups of components with a common data stream in OpenSearch.

use crate::component;

/// Prefix of the data streams' names; the stream's name follows.
pub const PREFIX: &str = "logs-";

/// The stream of components without their own.
pub const OTHER: &str = "other";

/// Every stream: one for each component, and [`OTHER`].
pub const ALL: [&str; component::ALL.len() + 1] = {
    let mut all = [OTHER; component::ALL.len() + 1];
    let mut at = 0;
    while at < component::ALL.len() {
        all[at] = component::ALL[at];
        at += 1;
    }
    all
};

/// The stream of a component. Unknown names share [`OTHER`], because the labels of pods can contain any number of them.
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
        assert_eq!(data_stream(of("irmgard")), "logs-irmgard");
    }

    #[test]
    fn other_components_share_one_stream() {
        for component in ["", "other", "etcd", "irmgard2", "Irmgard", "*"] {
            assert_eq!(of(component), OTHER, "{component}");
        }
    }
}

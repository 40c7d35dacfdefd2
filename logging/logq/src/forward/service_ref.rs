//! A reference to a service in a cluster.

use std::{ffi::OsString, fmt};

use url::Url;

use crate::source::kubectl::KubectlProgram;

/// `kubernetes://NAMESPACE/SERVICE`, with `:PORT` if it is not 9200.
pub const SCHEME: &str = "kubernetes";

const DEFAULT_PORT: u16 = 9200;

const EXPECTED_FORM: &str = "must be kubernetes://NAMESPACE/SERVICE or kubernetes://NAMESPACE/SERVICE:PORT";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRef {
    pub namespace: String,
    pub name: String,
    pub port: u16,
}

impl ServiceRef {
    /// The OpenSearch of the distribution (manifests/base).
    #[must_use]
    pub fn default_opensearch() -> Self {
        Self {
            namespace: "irmgard".to_owned(),
            name: "opensearch".to_owned(),
            port: DEFAULT_PORT,
        }
    }

    /// # Errors
    /// The expected form.
    pub fn from_url(url: &Url) -> Result<Self, &'static str> {
        let rest = url.path().strip_prefix('/').ok_or(EXPECTED_FORM)?;
        let (name, port) = match rest.split_once(':') {
            Some((name, port)) => (name, port.parse().map_err(|_| EXPECTED_FORM)?),
            None => (rest, DEFAULT_PORT),
        };
        let namespace = url.host_str().unwrap_or_default();
        if !is_name(namespace) || !is_name(name) || url.port().is_some() || port == 0 {
            return Err(EXPECTED_FORM);
        }
        Ok(Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            port,
        })
    }

    /// kubectl's arguments for a port-forward.
    #[must_use]
    pub fn forward_arguments(&self, program: &KubectlProgram) -> Vec<OsString> {
        program.with_cluster_arguments([
            "port-forward".to_owned(),
            "--address=127.0.0.1".to_owned(),
            format!("--namespace={}", self.namespace),
            // Shorter than our own timeout, so that kubectl can report the reason.
            "--pod-running-timeout=3s".to_owned(),
            format!("service/{}", self.name),
            // Any free local port.
            format!(":{}", self.port),
        ])
    }

    #[must_use]
    pub fn url(&self) -> String {
        format!("{SCHEME}://{self}")
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.namespace, self.name)?;
        if self.port == DEFAULT_PORT {
            return Ok(());
        }
        write!(formatter, ":{}", self.port)
    }
}

/// Whether a text is a DNS label (RFC 1123), as Kubernetes requires.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_urls_round_trip() {
        for (address, shown) in [
            ("kubernetes://irmgard/opensearch", "irmgard/opensearch"),
            ("kubernetes://irmgard/opensearch:9200", "irmgard/opensearch"),
            ("kubernetes://a-b/c:9201", "a-b/c:9201"),
        ] {
            let service = ServiceRef::from_url(&Url::parse(address).unwrap()).unwrap();
            assert_eq!(service.to_string(), shown);
            let again = Url::parse(&service.url()).unwrap();
            assert_eq!(ServiceRef::from_url(&again), Ok(service));
        }
        assert_eq!(
            ServiceRef::default_opensearch().url(),
            "kubernetes://irmgard/opensearch"
        );
        for wrong in [
            "kubernetes:irmgard/opensearch",
            "kubernetes://irmgard",
            "kubernetes://irmgard/",
            "kubernetes:///opensearch",
            "kubernetes://irmgard:1/opensearch",
            "kubernetes://irmgard/opensearch:",
            "kubernetes://irmgard/opensearch:0",
            "kubernetes://irmgard/opensearch/9200",
            "kubernetes://irmgard/--kubeconfig=x",
            "kubernetes://Irmgard/opensearch",
        ] {
            let read = Url::parse(wrong).map(|url| ServiceRef::from_url(&url));
            assert!(!matches!(read, Ok(Ok(_))), "{wrong}");
        }
    }
}

//! A service in a cluster, and the pod behind it.

use std::fmt;

use k8s_openapi::{
    api::core::v1::{Pod, Service, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use kube_client::{Api, api::ListParams};
use url::Url;

use super::{Cluster, Error, ForwardError, pod_status};

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

/// A port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PodPort {
    pub namespace: String,
    pub pod: String,
    pub port: u16,
}

impl Cluster {
    /// Finds a pod of a service: a ready one, or one that runs.
    pub(super) async fn resolve(&self, service: &ServiceRef) -> Result<PodPort, ForwardError> {
        let namespace = &service.namespace;
        let failed = |error| ForwardError::from_request(namespace, self.error(&error));
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let found = services
            .get(&service.name)
            .await
            .map_err(|error| match self.error(&error) {
                Error::NotFound { reason } => ForwardError::NoService { reason },
                error => ForwardError::from_request(namespace, error),
            })?;
        let spec = found.spec.unwrap_or_default();
        let Some(selector) = selector(&spec) else {
            let reason = format!("Service {} selects no pods", service.name);
            return Err(ForwardError::NoService { reason });
        };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let pods = pods.list(&ListParams::default().labels(&selector)).await;
        let pods = pods.map_err(failed)?.items;
        let pod = pods
            .iter()
            .find(|pod| pod_status::is_ready(pod))
            // For example an OpenSearch whose cluster is red.
            .or_else(|| pods.iter().find(|pod| pod_status::is_running(pod)));
        let Some(pod) = pod else {
            let reason = pod_status::describe_pods(&pods, &selector);
            return Err(ForwardError::NotRunning { reason });
        };
        let port = target_port(&spec, pod, service.port).ok_or_else(|| ForwardError::NoService {
            reason: format!(
                "Service {} does not have a service port {}",
                service.name, service.port
            ),
        })?;
        Ok(PodPort {
            namespace: namespace.clone(),
            pod: pod.metadata.name.clone().unwrap_or_default(),
            port,
        })
    }
}

/// The label selector of a service; None for a service with manually managed addresses.
fn selector(spec: &ServiceSpec) -> Option<String> {
    let labels = spec.selector.iter().flatten();
    let labels: Vec<String> = labels.map(|(name, value)| format!("{name}={value}")).collect();
    (!labels.is_empty()).then(|| labels.join(","))
}

/// The port of the pod behind a port of the service.
fn target_port(spec: &ServiceSpec, pod: &Pod, port: u16) -> Option<u16> {
    let mut ports = spec.ports.iter().flatten();
    let service_port = ports.find(|service_port| service_port.port == i32::from(port))?;
    if spec.cluster_ip.as_deref() == Some("None") {
        return Some(port);
    }
    match &service_port.target_port {
        None => Some(port),
        Some(IntOrString::Int(target)) => u16::try_from(*target).ok(),
        Some(IntOrString::String(name)) => {
            let mut ports = pod.spec.iter().flat_map(|spec| &spec.containers);
            let named = ports.find_map(|container| {
                let mut ports = container.ports.iter().flatten();
                ports.find(|port| port.name.as_ref() == Some(name))
            });
            u16::try_from(named?.container_port).ok()
        }
    }
}

/// Whether a text is a DNS label (RFC 1123), as Kubernetes requires.
fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    text.starts_with(plain) && text.ends_with(plain) && text.chars().all(|c| plain(c) || c == '-')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn service_port_leads_to_a_port_of_the_pod() {
        let pod = json!({ "spec": { "containers": [
            { "name": "a" }, { "name": "b", "ports": [{ "name": "http", "containerPort": 9201 }] },
        ] } });
        let pod: Pod = serde_json::from_value(pod).unwrap();
        for (cluster_ip, target, port) in [
            ("10.0.0.1", json!(null), Some(9200)),
            ("10.0.0.1", json!(9300), Some(9300)),
            ("10.0.0.1", json!("http"), Some(9201)),
            ("10.0.0.1", json!("metrics"), None),
            // A headless service has no proxy that translates ports.
            ("None", json!(9300), Some(9200)),
        ] {
            let spec = json!({ "clusterIP": cluster_ip, "ports": [{ "port": 9200, "targetPort": target }] });
            let spec: ServiceSpec = serde_json::from_value(spec).unwrap();
            assert_eq!(target_port(&spec, &pod, 9200), port, "{target}");
            assert_eq!(target_port(&spec, &pod, 9999), None);
        }
    }

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

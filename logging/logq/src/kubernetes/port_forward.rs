//! A local port that leads to a service in a cluster.
//!
//! Each connection to the port becomes a WebSocket connection through the API server to one pod of the service. So
//! access to pods gives access to OpenSearch. The payload is HTTP; TLS protects it on its way to the API server.

use std::{
    net::Ipv4Addr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube_client::{Api, api::Portforwarder};
use tokio::{
    io,
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::{io::InspectReader, task::AbortOnDropHandle};

use super::{Cluster, ClusterOptions, ForwardError, ServiceRef, run, service::PodPort};

const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// A local port that leads to a service, until it is dropped.
#[derive(Debug)]
pub struct PortForward {
    port: u16,
    end: Arc<OnceLock<ForwardError>>,
    _server: AbortOnDropHandle<()>,
}

impl PortForward {
    /// Finds a pod of the service, connects to it, and listens on a free local port.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub async fn open(options: &ClusterOptions, service: &ServiceRef) -> Result<Self, ForwardError> {
        let (options, service) = (options.clone(), service.clone());
        let open = run(async move {
            let cluster = Cluster::connect(&options).await?;
            let target = cluster.resolve(&service).await?;
            let first = cluster.forward(&target).await?;
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
            let listener = listener.map_err(listen_error)?;
            let port = listener.local_addr().map_err(listen_error)?.port();
            let end = Arc::default();
            let connector = PodConnector {
                cluster,
                target,
                end: Arc::clone(&end),
            };
            let server = tokio::spawn(serve(listener, connector, first));
            Ok(Self {
                port,
                end,
                _server: AbortOnDropHandle::new(server),
            })
        });
        let opened = time::timeout(OPEN_TIMEOUT, open).await;
        opened.unwrap_or(Err(ForwardError::Timeout(OPEN_TIMEOUT)))
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Why it ended; None while it works.
    pub fn end(&self) -> Option<ForwardError> {
        self.end.get().cloned()
    }
}

fn listen_error(error: io::Error) -> ForwardError {
    ForwardError::Failed {
        reason: format!("cannot listen on a local port: {error}"),
    }
}

impl Cluster {
    /// Connects to a port of a pod.
    async fn forward(&self, target: &PodPort) -> Result<Portforwarder, ForwardError> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &target.namespace);
        let connected = pods.portforward(&target.pod, &[target.port]).await;
        connected.map_err(|error| ForwardError::from_request(&target.namespace, self.error(&error)))
    }
}

/// Connects clients to a pod.
#[derive(Clone)]
struct PodConnector {
    cluster: Cluster,
    target: PodPort,
    end: Arc<OnceLock<ForwardError>>,
}

/// Accepts connections. The first one uses the connection to the pod that exists already.
async fn serve(listener: TcpListener, connector: PodConnector, first: Portforwarder) {
    let mut first = Some(first);
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        connections.spawn(connector.clone().connect(client, first.take()));
        while connections.try_join_next().is_some() {}
    }
}

impl PodConnector {
    /// Serves a client until the client or the pod closes its connection.
    async fn connect(self, mut client: TcpStream, pod: Option<Portforwarder>) {
        let pod = match pod {
            Some(pod) => Ok(pod),
            None => self.cluster.forward(&self.target).await,
        };
        let end = match pod {
            Ok(pod) => copy(&mut client, pod, self.target.port).await,
            Err(error) => Some(error),
        };
        // Before the client notices.
        if let Some(end) = end {
            let _ = self.end.set(end);
        }
        drop(client);
    }
}

/// Copies in both directions. Returns why the pod's side ended; None if the client closed its connection.
async fn copy(client: &mut TcpStream, mut pod: Portforwarder, port: u16) -> Option<ForwardError> {
    let mut refusal = pod.take_error(port)?;
    let (from_pod, mut to_pod) = io::split(pod.take_stream(port)?);
    let (mut from_client, mut to_client) = client.split();
    let has_answered = AtomicBool::new(false);
    let mut from_pod = InspectReader::new(from_pod, |bytes: &[u8]| {
        has_answered.fetch_or(!bytes.is_empty(), Ordering::Relaxed);
    });
    let refusal = tokio::select! {
        biased;
        Some(reason) = &mut refusal => Some(reason),
        _ = io::copy(&mut from_pod, &mut to_client) => None,
        _ = io::copy(&mut from_client, &mut to_pod) => return None,
    };
    Some(match refusal {
        Some(reason) if !has_answered.load(Ordering::Relaxed) => ForwardError::NotRunning {
            reason: format!("its node reports: {}", reason.trim()),
        },
        _ => ForwardError::Failed {
            reason: "lost connection to pod".to_owned(),
        },
    })
}

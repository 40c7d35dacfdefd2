//! The service `irmgard/opensearch`, and port-forwards to its pod.

use std::sync::{Arc, atomic::Ordering};

use axum::{
    body::Body,
    extract::{Path, Query, Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Message, handshake::derive_accept_key, protocol::Role},
};

use super::{ApiServerState, OpenStream, lock, status};

/// A fault of the service or its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForwardFault {
    Forbidden,
    Pending,
    /// The service has no pod.
    Scaled,
    /// Nothing listens in the pod.
    Refused,
    /// The API server does not answer.
    Silent,
}

const POD: &str = "opensearch-0";

pub async fn service(
    State(cluster): State<Arc<ApiServerState>>,
    Path((namespace, service)): Path<(String, String)>,
) -> Response {
    if (namespace.as_str(), service.as_str()) != ("irmgard", "opensearch")
        || lock(&cluster.opensearch).is_none()
    {
        return status(404, "NotFound", &format!("services \"{service}\" not found"));
    }
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": service },
        "spec": {
            "selector": { "app.kubernetes.io/name": "opensearch" },
            "ports": [{ "port": 9200, "targetPort": "http" }],
        },
    });
    service.to_string().into_response()
}

/// The pods of the service.
pub fn pods(cluster: &ApiServerState) -> Vec<Value> {
    let fault = *lock(&cluster.forward_fault);
    if fault == Some(ForwardFault::Scaled) {
        return Vec::new();
    }
    let phase = if fault == Some(ForwardFault::Pending) {
        "Pending"
    } else {
        "Running"
    };
    let ready = if fault.is_none() { "True" } else { "False" };
    vec![json!({
        "metadata": { "name": POD, "namespace": "irmgard" },
        "spec": { "containers": [{ "name": "main", "ports": [{ "name": "http", "containerPort": 9201 }] }] },
        "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
    })]
}

#[derive(Deserialize)]
pub struct ForwardQuery {
    ports: u16,
}

pub async fn forward(
    State(cluster): State<Arc<ApiServerState>>,
    Path((namespace, pod)): Path<(String, String)>,
    Query(query): Query<ForwardQuery>,
    mut request: Request,
) -> Response {
    cluster.forwards.fetch_add(1, Ordering::AcqRel);
    let fault = *lock(&cluster.forward_fault);
    match fault {
        Some(ForwardFault::Forbidden) => {
            let message = format!(
                "pods \"{pod}\" is forbidden: User \"somebody\" cannot create resource \"pods/portforward\" in API \
                 group \"\" in the namespace \"{namespace}\""
            );
            return status(403, "Forbidden", &message);
        }
        Some(ForwardFault::Silent) => return std::future::pending().await,
        _ => {}
    }
    assert_eq!((pod.as_str(), query.ports), (POD, 9201));
    let key = request.headers()[header::SEC_WEBSOCKET_KEY].clone();
    let address = lock(&cluster.opensearch).clone().unwrap();
    let open = OpenStream::new(&cluster);
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
        let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        // The client may be gone.
        let _ = serve(socket, &address, query.ports, &cluster).await;
        drop(open);
    });
    let headers = [
        (header::CONNECTION, "Upgrade".to_owned()),
        (header::UPGRADE, "websocket".to_owned()),
        (header::SEC_WEBSOCKET_PROTOCOL, "v4.channel.k8s.io".to_owned()),
        (header::SEC_WEBSOCKET_ACCEPT, derive_accept_key(key.as_bytes())),
    ];
    (StatusCode::SWITCHING_PROTOCOLS, headers, Body::empty()).into_response()
}

/// The protocol of `v4.channel.k8s.io` for one port: channel 0 has the data, channel 1 an error.
async fn serve(
    mut socket: WebSocketStream<impl AsyncRead + AsyncWrite + Unpin>,
    address: &str,
    port: u16,
    cluster: &ApiServerState,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let lost = cluster.pod_lost.notified();
    tokio::pin!(lost);
    lost.as_mut().enable();
    let frame = |channel: u8, bytes: &[u8]| Message::Binary(Bytes::from([&[channel], bytes].concat()));
    for channel in [0, 1] {
        socket.send(frame(channel, &port.to_le_bytes())).await?;
    }
    let fault = *lock(&cluster.forward_fault);
    let stream = match fault {
        Some(ForwardFault::Refused) => None,
        _ => TcpStream::connect(address).await.ok(),
    };
    let Some(mut stream) = stream else {
        let error = format!(
            "error forwarding port {port} to pod 1a1543bf, uid : failed to connect to localhost:{port} inside \
             namespace: connect: connection refused"
        );
        socket.send(frame(1, error.as_bytes())).await?;
        return Ok(socket.close(None).await?);
    };
    let mut buffer = vec![0; 65_536];
    loop {
        tokio::select! {
            () = &mut lost => return Ok(socket.close(None).await?),
            read = stream.read(&mut buffer) => match read? {
                0 => return Ok(socket.close(None).await?),
                length => socket.send(frame(0, &buffer[..length])).await?,
            },
            message = socket.next() => match message.transpose()? {
                Some(Message::Binary(bytes)) => stream.write_all(&bytes[1..]).await?,
                Some(Message::Close(_)) | None => return Ok(()),
                Some(_) => {}
            },
        }
    }
}

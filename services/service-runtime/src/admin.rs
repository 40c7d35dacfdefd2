//! The admin port: probes and metrics, separate from the public port.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{
    Json, Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

mod readiness;

use crate::http::{self, ServerLimits};

pub use readiness::{DependencyState, Readiness};

/// Kubernetes and scrapers need few connections.
const LIMITS: ServerLimits = ServerLimits::with_connections(128);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug)]
pub struct Admin {
    /// Served at `/metrics`.
    pub registry: Registry,
    /// Served at `/readyz`.
    pub readiness: Readiness,
}

impl Admin {
    /// Routes: `/livez`, `/readyz` and `/metrics`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }

    /// Binds the address. Requests are answered once [`BoundAdmin::serve`] runs.
    pub async fn bind(self, address: SocketAddr) -> io::Result<BoundAdmin> {
        Ok(BoundAdmin {
            listener: TcpListener::bind(address).await?,
            router: self.router(),
        })
    }
}

/// An admin port that is bound to its address.
#[derive(Debug)]
pub struct BoundAdmin {
    listener: TcpListener,
    router: Router,
}

impl BoundAdmin {
    /// The bound address, with the actual port if port 0 was requested.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `end` is cancelled. Stop it last, so that a draining process still answers probes.
    pub async fn serve(self, end: CancellationToken) {
        // No graceful shutdown: a slow scraper must not delay the exit.
        let served = http::serve(self.listener, self.router, LIMITS, CancellationToken::new());
        end.run_until_cancelled(served).await;
    }
}

async fn livez() -> &'static str {
    "alive\n"
}

async fn readyz(State(admin): State<Arc<Admin>>) -> Response {
    let status = if admin.readiness.is_ready() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(admin.readiness.describe())).into_response()
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "the metrics cannot be encoded");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

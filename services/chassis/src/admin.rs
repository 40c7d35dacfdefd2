//! The admin port: probes and metrics, away from the public port.

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

use crate::http::{self, Limits};

pub use readiness::{Dependency, Readiness};

/// Kubernetes and scrapers need few connections.
const LIMITS: Limits = Limits::with_connections(128);

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the admin port shows.
#[derive(Debug)]
pub struct Admin {
    /// Shown at `/metrics`.
    pub registry: Registry,
    /// Shown at `/readyz`.
    pub readiness: Readiness,
}

impl Admin {
    /// The routes: `/livez`, `/readyz`, `/metrics`.
    pub fn router(self) -> Router {
        Router::new()
            .route("/livez", get(livez))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(Arc::new(self))
    }

    /// Listens on `address`; the port answers once the listener is served.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind(self, address: SocketAddr) -> io::Result<BoundAdmin> {
        Ok(BoundAdmin {
            listener: TcpListener::bind(address).await?,
            router: self.router(),
        })
    }
}

/// An admin port that listens.
#[derive(Debug)]
pub struct BoundAdmin {
    listener: TcpListener,
    router: Router,
}

impl BoundAdmin {
    /// The address, with the port that was given when 0 was asked for.
    ///
    /// # Errors
    /// As the operating system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `end` is cancelled. That should be last of all, so that
    /// a draining process still answers its probes.
    pub async fn serve(self, end: CancellationToken) {
        // Not a graceful shutdown: a slow scraper must not hold the process.
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
            tracing::error!(%error, "metrics cannot be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

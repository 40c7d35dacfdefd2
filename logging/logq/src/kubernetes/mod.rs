//! The client of the Kubernetes API: lists of pods, their logs, and port-forwards to services.
//!
//! Architecture invariant: it knows nothing of queries and log lines. One background thread runs all requests, so
//! threads and async callers of any runtime can use it.

mod cluster;
mod error;
mod kubeconfig;
mod log;
mod pod_status;
mod port_forward;
mod service;

use std::{io, sync::LazyLock};

use tokio::runtime::{self, Runtime};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::error::error_chain;
pub use self::{
    cluster::Cluster,
    error::{Error, ForwardError},
    kubeconfig::ClusterOptions,
    log::{LogReader, LogRequest, MAX_LINE_BYTES},
    port_forward::PortForward,
    service::{SCHEME, ServiceRef},
};

static RUNTIME: LazyLock<io::Result<Runtime>> = LazyLock::new(|| {
    runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name("kubernetes")
        .enable_all()
        .build()
});

fn runtime() -> Result<&'static Runtime, Error> {
    RUNTIME.as_ref().map_err(|error| Error::Failed {
        reason: format!("cannot start a thread for requests: {error}"),
    })
}

/// Runs a future in the background. Dropping the returned future cancels it.
async fn run<T: Send + 'static, E: From<Error> + Send + 'static>(
    future: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    let task = AbortOnDropHandle::new(runtime()?.spawn(future));
    task.await.unwrap_or_else(|error| {
        let reason = error.to_string();
        Err(Error::Failed { reason }.into())
    })
}

/// Waits for a future. Not for async callers, whose thread it blocks.
///
/// # Errors
/// Those of the future.
pub fn block_on<T, E: From<Error>>(future: impl Future<Output = Result<T, E>>) -> Result<T, E> {
    runtime()?.block_on(future)
}

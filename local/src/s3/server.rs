//! The embedded S3 server: stores objects as files below a directory.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Duration, timeout};

use super::policies::accounts;

/// Serves S3 until SIGTERM or SIGINT. These keys belong to the owner, who has all permissions. Our programs' accounts have the
/// permissions of their policies.
///
/// # Errors
/// When the address or the directory cannot be used.
pub async fn serve(
    listen: SocketAddr,
    root: &Path,
    access_key: &str,
    secret_key: &str,
) -> anyhow::Result<()> {
    let files = s3s_fs::FileSystem::new(root)
        .map_err(|error| anyhow::anyhow!("{error:?}"))
        .with_context(|| format!("cannot use {}", root.display()))?;
    let mut builder = S3ServiceBuilder::new(files);
    let (keys, permissions) = accounts(access_key, secret_key)?;
    builder.set_auth(keys);
    builder.set_access(permissions);
    let service = builder.build();

    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Builder::new(TokioExecutor::new());
    let connections = GracefulShutdown::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                // No file descriptor is free, or the client has gone: try the next one.
                Err(_) => { tokio::time::sleep(Duration::from_millis(10)).await; continue }
            },
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        // Without Nagle's algorithm, small responses do not wait for the client's delayed acknowledgement.
        let _ = socket.set_nodelay(true);
        let connection = server
            .serve_connection(TokioIo::new(socket), service.clone())
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            // An error means that the client closed the connection.
            let _ = connection.await;
        });
    }
    drop(listener);
    let _ = timeout(Duration::from_secs(5), connections.shutdown()).await;
    Ok(())
}

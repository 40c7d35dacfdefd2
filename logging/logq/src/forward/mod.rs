//! Reaches an OpenSearch in a cluster through a `kubectl port-forward`.
//!
//! kubectl brings its kubeconfig and credential plugins, so access to pods gives access to OpenSearch. The payload is
//! HTTP; kubectl encrypts it on the way to the cluster.

mod child_guard;
mod error;
mod pod_diagnosis;
mod service_ref;

use std::{
    io::{BufRead, BufReader},
    process::ChildStdout,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task, time};

use self::child_guard::ChildGuard;
pub use self::{
    child_guard::run_child_guard,
    error::{ForwardError, stderr_suffix},
    service_ref::{SCHEME, ServiceRef},
};
use crate::source::kubectl::KubectlProgram;

/// Limit for kubectl to start listening.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for kubectl to report why a connection broke.
const STDERR_DELAY: Duration = Duration::from_millis(300);

const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A local port that leads to a service, until it is dropped.
#[derive(Debug)]
pub struct Forward {
    guard: ChildGuard,
    port: u16,
}

impl Forward {
    /// Starts kubectl, and waits until it listens.
    ///
    /// # Errors
    /// [`ForwardError`].
    pub async fn open(program: &KubectlProgram, service: &ServiceRef) -> Result<Self, ForwardError> {
        let arguments = service.forward_arguments(program);
        let (mut guard, output) = ChildGuard::start(&program.path, &arguments)
            .map_err(|error| ForwardError::Kubectl(program.spawn_error(error)))?;
        let error = match time::timeout(OPEN_TIMEOUT, wait_for_port(output)).await {
            Ok(Some(port)) => return Ok(Self { guard, port }),
            Ok(None) => ForwardError::from_stderr(service, program, &guard.stderr()),
            Err(_) => ForwardError::Timeout {
                timeout: OPEN_TIMEOUT,
                stderr: guard.stderr(),
            },
        };
        if !error.needs_diagnosis() {
            return Err(error);
        }
        let (program, service) = (program.clone(), service.clone());
        let reason = task::spawn_blocking(move || pod_diagnosis::explain_not_ready(&program, &service)).await;
        Err(reason.ok().flatten().unwrap_or(error))
    }

    pub const fn port(&self) -> u16 {
        self.port
    }

    pub fn has_ended(&mut self) -> bool {
        self.guard.has_ended()
    }

    /// kubectl's messages about its end or a broken connection.
    pub async fn into_stderr(mut self) -> String {
        let started = Instant::now();
        while !self.guard.has_ended() && started.elapsed() < STDERR_DELAY {
            time::sleep(POLL_INTERVAL).await;
        }
        self.guard.stderr()
    }
}

/// The local port from kubectl's output; None if kubectl ends. The thread reads on, because kubectl prints a line for
/// each connection.
async fn wait_for_port(output: ChildStdout) -> Option<u16> {
    let (found, port) = oneshot::channel();
    thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if let Some(port) = parse_port(&String::from_utf8_lossy(&line))
                && let Some(found) = found.take()
            {
                // The receiver may be gone.
                let _ = found.send(port);
            }
        }
    });
    port.await.ok()
}

/// `Forwarding from 127.0.0.1:38465 -> 9200`.
fn parse_port(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    let (port, _) = rest.split_once(' ')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_parsed_from_kubectl_output() {
        assert_eq!(
            parse_port("Forwarding from 127.0.0.1:38465 -> 9200"),
            Some(38_465)
        );
        for other in [
            "Forwarding from [::1]:38465 -> 9200",
            "Handling connection for 38465",
            "Forwarding from 127.0.0.1:99999 -> 9200",
        ] {
            assert_eq!(parse_port(other), None, "{other}");
        }
    }
}

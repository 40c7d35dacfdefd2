//! A way to an OpenSearch in a cluster: a `kubectl port-forward` that is made, watched and ended here.
//!
//! It is kubectl's, so that whoever can ask pods can ask OpenSearch: the same kubeconfig, the same plugins for
//! credentials. What goes through is HTTP; from here to the cluster kubectl encrypts it.

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

/// How long it may take until something listens here.
const OPEN_TIMEOUT: Duration = Duration::from_secs(5);

/// How long kubectl may take to say why a connection broke.
const STDERR_DELAY: Duration = Duration::from_millis(300);

/// Between two looks whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A port of this machine that leads to a service of a cluster, as long as this is kept.
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

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether kubectl has ended.
    pub fn has_ended(&mut self) -> bool {
        self.guard.has_ended()
    }

    /// What kubectl says of its end or of a connection that broke.
    pub async fn into_stderr(mut self) -> String {
        let begun = Instant::now();
        while !self.guard.has_ended() && begun.elapsed() < STDERR_DELAY {
            time::sleep(POLL_INTERVAL).await;
        }
        self.guard.stderr()
    }
}

/// The port that kubectl says it listens at; none where it ends without. It is read on for as long as it lives: it
/// says a line for each connection.
async fn wait_for_port(output: ChildStdout) -> Option<u16> {
    let (found, port) = oneshot::channel();
    thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if let Some(port) = parse_port(&String::from_utf8_lossy(&line))
                && let Some(found) = found.take()
            {
                // Who does not wait any more needs nothing.
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
    fn the_port_is_read_of_what_kubectl_says() {
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

//! A way to an OpenSearch in a cluster: a `kubectl port-forward` that is made, watched and ended here.
//!
//! It is kubectl's, so that whoever can ask pods can ask OpenSearch: the same kubeconfig, the same plugins for
//! credentials. What goes through is HTTP; from here to the cluster kubectl encrypts it.

mod error;
mod held;
mod place;
mod service;

use std::{
    io::{BufRead, BufReader},
    process::ChildStdout,
    thread,
    time::{Duration, Instant},
};

use tokio::{sync::oneshot, task, time};

use self::held::Held;
pub use self::{
    error::{NoForward, also},
    held::hold,
    place::{Place, SCHEME},
};
use crate::source::kubectl::Program;

/// How long it may take until something listens here.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long kubectl may take to say why a connection broke.
const WORDS: Duration = Duration::from_millis(300);

/// Between two looks whether it has ended.
const PAUSE: Duration = Duration::from_millis(20);

/// A port of this machine that leads to a service of a cluster, as long as this is kept.
#[derive(Debug)]
pub struct Forward {
    held: Held,
    port: u16,
}

impl Forward {
    /// Starts kubectl, and waits until it listens.
    ///
    /// # Errors
    /// [`NoForward`].
    pub async fn open(program: &Program, place: &Place) -> Result<Self, NoForward> {
        let arguments = place.arguments(program);
        let (mut held, output) = Held::start(&program.path, &arguments)
            .map_err(|error| NoForward::Kubectl(program.failed(error)))?;
        let error = match time::timeout(PATIENCE, listening(output)).await {
            Ok(Some(port)) => return Ok(Self { held, port }),
            Ok(None) => NoForward::of(place, program, &held.words()),
            Err(_) => NoForward::Late {
                waited: PATIENCE,
                said: held.words(),
            },
        };
        if !error.is_without_reason() {
            return Err(error);
        }
        let (program, place) = (program.clone(), place.clone());
        let reason = task::spawn_blocking(move || service::reason(&program, &place)).await;
        Err(reason.ok().flatten().unwrap_or(error))
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether kubectl has ended.
    pub fn has_ended(&mut self) -> bool {
        self.held.has_ended()
    }

    /// What kubectl says of its end or of a connection that broke.
    pub async fn ended(mut self) -> String {
        let begun = Instant::now();
        while !self.held.has_ended() && begun.elapsed() < WORDS {
            time::sleep(PAUSE).await;
        }
        self.held.words()
    }
}

/// The port that kubectl says it listens at; none where it ends without. It is read on for as long as it lives: it
/// says a line for each connection.
async fn listening(output: ChildStdout) -> Option<u16> {
    let (found, port) = oneshot::channel();
    thread::spawn(move || {
        let mut found = Some(found);
        for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
            if let Some(port) = port_of(&String::from_utf8_lossy(&line))
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
fn port_of(line: &str) -> Option<u16> {
    let rest = line.strip_prefix("Forwarding from 127.0.0.1:")?;
    let (port, _) = rest.split_once(' ')?;
    port.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_of_what_kubectl_says() {
        assert_eq!(port_of("Forwarding from 127.0.0.1:38465 -> 9200"), Some(38_465));
        for other in [
            "Forwarding from [::1]:38465 -> 9200",
            "Handling connection for 38465",
            "Forwarding from 127.0.0.1:99999 -> 9200",
        ] {
            assert_eq!(port_of(other), None, "{other}");
        }
    }
}

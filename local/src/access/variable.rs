//! Environment variables that name servers.

use std::collections::BTreeMap;
use std::env;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::error::{Error, Result};

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Address and credentials of one kind of server.
pub(crate) trait Access: Clone {
    /// `postgres`, `rabbitmq`, `object-store` or `opensearch`.
    const SERVER: &'static str;

    /// Shuts the server down.
    const SHUTDOWN_SIGNAL: Signal = Signal::SIGTERM;

    /// The server that the environment names, if any.
    fn find() -> Result<Option<Self>>;

    /// Adds the variables that name this server.
    fn write(&self, environment: &mut Environment);

    /// Sends a request that succeeds when the server is ready.
    async fn probe(&self) -> std::result::Result<(), String>;

    /// Checks that an external server answers, and creates what is missing in it.
    async fn prepare(&self) -> Result<()>;
}

/// The variable with the servers that an enclosing `local exec` started. Those servers are not external.
pub(crate) const STARTED: &str = "LOCAL_STACK_STARTED";

pub(crate) fn started_by_enclosing_stack(server: &str) -> bool {
    variable(STARTED).is_some_and(|names| names.split(',').any(|name| name == server))
}

/// The server that the environment names, unless an enclosing `local exec` started it.
pub(crate) fn external<A: Access>() -> Result<Option<A>> {
    if started_by_enclosing_stack(A::SERVER) {
        Ok(None)
    } else {
        A::find()
    }
}

pub(super) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

pub(super) fn variable_or(name: &str, default: &str) -> String {
    variable(name).unwrap_or_else(|| default.into())
}

pub(super) fn required(server_variable: &'static str, name: &'static str) -> Result<String> {
    variable(name).ok_or(Error::MissingSetting {
        server_variable,
        missing: name,
    })
}

pub(super) fn port(name: &str, default: u16) -> Result<u16> {
    variable(name).map_or(Ok(default), |text| {
        text.parse().map_err(|_| {
            Error::request(
                format!("cannot read {name}"),
                format!("{text:?} is not a port number"),
            )
        })
    })
}

/// Adds variables to an environment.
pub(super) fn set<'v>(
    environment: &mut Environment,
    variables: impl IntoIterator<Item = (&'static str, &'v str)>,
) {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    environment.extend(variables.into_iter().map(owned));
}

/// An HTTP client for servers on this machine.
pub(super) fn http_client(timeout: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(timeout).build()
}

//! The servers, and the proxies before them.

use anyhow::{Context, Result};
use local::{
    Environment, Scratch, Stack,
    proxy::{Behaviour, Proxy},
    scratch,
};

/// Where a pipeline runs.
#[derive(Debug)]
pub enum Place {
    /// In the stack that the environment names, beside others.
    Scratch(Box<Scratch>),
    /// On servers of its own, which may be killed.
    Own(Box<Stack>),
}

impl Place {
    /// A database, queues and buckets of its own in the running stack.
    ///
    /// # Errors
    /// Without a stack; the message says how to start one.
    pub async fn scratch() -> Result<Self> {
        Ok(Self::Scratch(Box::new(scratch().await?)))
    }

    /// Servers of its own; in the running stack where a server is given from
    /// outside, which nobody may kill.
    ///
    /// # Errors
    /// When a server does not start.
    pub async fn own() -> Result<Self> {
        let stack = Stack::builder().start().await?;
        let ours = [
            stack.postgres().is_ours(),
            stack.rabbitmq().is_ours(),
            stack.object_store().is_ours(),
        ];
        if ours == [true; 3] {
            Ok(Self::Own(Box::new(stack)))
        } else {
            local::not_tested(
                "the end of servers, which are given from outside: a proxy puts them out of reach instead",
            );
            Self::scratch().await
        }
    }

    /// How our programs reach the servers directly.
    #[must_use]
    pub fn environment(&self) -> Environment {
        match self {
            Self::Scratch(scratch) => scratch.environment(),
            Self::Own(stack) => stack.environment(),
        }
    }

    /// PostgreSQL's log (JSON lines), where it can be read; that it cannot is
    /// said.
    #[must_use]
    pub fn postgres_log(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Scratch(_) => local::postgres_log("a photo's trace id in PostgreSQL's lines"),
            Self::Own(stack) => stack.postgres_log(),
        }
    }

    /// The database, directly.
    #[must_use]
    pub fn postgres_url(&self) -> String {
        match self {
            Self::Scratch(scratch) => scratch.postgres.url(),
            Self::Own(stack) => stack.postgres().access().url(),
        }
    }
}

/// A proxy before each server.
#[derive(Debug)]
pub struct Proxies {
    /// Before PostgreSQL.
    pub postgres: Proxy,
    /// Before RabbitMQ.
    pub rabbitmq: Proxy,
    /// Before the object store.
    pub object_store: Proxy,
}

impl Proxies {
    /// Proxies before the servers of an environment.
    ///
    /// # Errors
    /// When the environment names no servers, or no port is free.
    pub async fn before(environment: &Environment) -> Result<Self> {
        let variable = |name: &str| {
            environment
                .get(name)
                .with_context(|| format!("{name} is not set"))
        };
        let server = |host: &str, port: &str| -> Result<String> {
            Ok(format!("{}:{}", variable(host)?, variable(port)?))
        };
        let endpoint: reqwest::Url = variable("OBJECT_STORE_ENDPOINT")?.parse()?;
        let store = format!(
            "{}:{}",
            endpoint.host_str().context("a host in OBJECT_STORE_ENDPOINT")?,
            endpoint
                .port_or_known_default()
                .context("a port in OBJECT_STORE_ENDPOINT")?
        );
        Ok(Self {
            postgres: Proxy::start(server("POSTGRES_HOST", "POSTGRES_PORT")?).await?,
            rabbitmq: Proxy::start(server("RABBITMQ_HOST", "RABBITMQ_PORT")?).await?,
            object_store: Proxy::start(store).await?,
        })
    }

    /// The environment with the proxies in the servers' places.
    ///
    /// # Errors
    /// When the store's endpoint is no URL.
    pub fn environment(&self, direct: &Environment) -> Result<Environment> {
        let mut environment = direct.clone();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        for (server, proxy) in [("POSTGRES", &self.postgres), ("RABBITMQ", &self.rabbitmq)] {
            set(&format!("{server}_HOST"), proxy.address().ip().to_string());
            set(&format!("{server}_PORT"), proxy.address().port().to_string());
        }
        set(
            "OBJECT_STORE_ENDPOINT",
            format!("http://{}", self.object_store.address()),
        );
        Ok(environment)
    }

    /// All proxies by the server's name.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, &Proxy); 3] {
        [
            ("postgres", &self.postgres),
            ("rabbitmq", &self.rabbitmq),
            ("object store", &self.object_store),
        ]
    }

    /// All pass everything on again.
    pub async fn restore(&self) {
        for (_, proxy) in self.all() {
            proxy.behave(Behaviour::Pass).await;
        }
    }
}

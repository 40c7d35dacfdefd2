//! The servers of a pipeline, and the fault proxies before them.

use anyhow::{Context, Result};
use local::{
    Environment, Scratch, Stack,
    proxy::{Behaviour, Proxy},
    scratch,
};

/// The servers of a pipeline.
#[derive(Debug)]
pub enum TestServers {
    /// Isolated resources in the running stack, which other tests use too.
    Scratch(Box<Scratch>),
    /// Servers for this pipeline alone, which may be killed.
    Dedicated(Box<Stack>),
}

impl TestServers {
    /// A fresh database, queues and buckets in the running stack.
    ///
    /// # Errors
    /// When no stack runs; the message says how to start one.
    pub async fn scratch() -> Result<Self> {
        Ok(Self::Scratch(Box::new(scratch().await?)))
    }

    /// Starts dedicated servers. If a server is external, which a test must not kill, uses the running stack instead.
    ///
    /// # Errors
    /// When a server does not start.
    pub async fn dedicated() -> Result<Self> {
        let stack = Stack::builder().start().await?;
        let managed = [
            stack.postgres().is_managed(),
            stack.rabbitmq().is_managed(),
            stack.object_store().is_managed(),
        ];
        if managed == [true; 3] {
            Ok(Self::Dedicated(Box::new(stack)))
        } else {
            local::not_tested(
                "killed servers, because the servers are external: a proxy makes them unreachable instead",
            );
            Self::scratch().await
        }
    }

    /// The environment that makes our programs use the servers directly.
    #[must_use]
    pub fn environment(&self) -> Environment {
        match self {
            Self::Scratch(scratch) => scratch.environment(),
            Self::Dedicated(stack) => stack.environment(),
        }
    }

    /// PostgreSQL's log file (JSON lines). Without it, reports what is not tested.
    #[must_use]
    pub fn postgres_log(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Scratch(_) => local::postgres_log("a photo's trace id in PostgreSQL's lines"),
            Self::Dedicated(stack) => stack.postgres_log(),
        }
    }

    /// The URL of the database, without the proxy.
    #[must_use]
    pub fn postgres_url(&self) -> String {
        match self {
            Self::Scratch(scratch) => scratch.postgres.url(),
            Self::Dedicated(stack) => stack.postgres().access().url(),
        }
    }
}

/// A fault proxy before each server.
#[derive(Debug)]
pub struct Proxies {
    pub postgres: Proxy,
    pub rabbitmq: Proxy,
    pub object_store: Proxy,
}

impl Proxies {
    /// Starts proxies before the servers of an environment.
    ///
    /// # Errors
    /// When the environment names no servers, or no port is free.
    pub async fn start(environment: &Environment) -> Result<Self> {
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
            endpoint.host_str().context("OBJECT_STORE_ENDPOINT has no host")?,
            endpoint
                .port_or_known_default()
                .context("OBJECT_STORE_ENDPOINT has no port")?
        );
        Ok(Self {
            postgres: Proxy::start(server("POSTGRES_HOST", "POSTGRES_PORT")?).await?,
            rabbitmq: Proxy::start(server("RABBITMQ_HOST", "RABBITMQ_PORT")?).await?,
            object_store: Proxy::start(store).await?,
        })
    }

    /// The environment that makes our programs use the proxies.
    ///
    /// # Errors
    /// When the store's endpoint is not a URL.
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

    /// All proxies, with the names of their servers.
    #[must_use]
    pub const fn all(&self) -> [(&'static str, &Proxy); 3] {
        [
            ("postgres", &self.postgres),
            ("rabbitmq", &self.rabbitmq),
            ("object store", &self.object_store),
        ]
    }

    /// Makes all proxies forward everything again.
    pub async fn restore(&self) {
        for (_, proxy) in self.all() {
            proxy.behave(Behaviour::Pass).await;
        }
    }
}

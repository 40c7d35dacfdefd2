//! The servers of a pipeline, and the fault proxies before them.

use anyhow::{Context, Result};
use local::{Environment, Scratch, Stack, scratch};
use test_support::FaultProxy;

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
    pub async fn scratch() -> Result<Self> {
        Ok(Self::Scratch(Box::new(scratch().await?)))
    }

    /// Starts dedicated servers. If a server is external, which a test must not kill, uses the running stack instead.
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
    pub fn environment(&self) -> Environment {
        match self {
            Self::Scratch(scratch) => scratch.environment(),
            Self::Dedicated(stack) => stack.environment(),
        }
    }

    /// PostgreSQL's log file (JSON lines). Without it, reports what is not tested.
    pub fn postgres_log(&self) -> Option<std::path::PathBuf> {
        match self {
            Self::Scratch(_) => local::postgres_log("a photo's trace id in PostgreSQL's lines"),
            Self::Dedicated(stack) => stack.postgres_log(),
        }
    }

    /// The URL of the database, without the proxy.
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
    pub postgres: FaultProxy,
    pub rabbitmq: FaultProxy,
    pub object_store: FaultProxy,
}

impl Proxies {
    /// Starts proxies before the servers of an environment.
    pub async fn start(environment: &Environment) -> Result<Self> {
        let variable = |name: &str| {
            environment
                .get(name)
                .with_context(|| format!("{name} is not set"))
        };
        let server = |host: &str, port: &str| -> Result<String> {
            Ok(format!("{}:{}", variable(host)?, variable(port)?))
        };
        Ok(Self {
            postgres: FaultProxy::start(&server("POSTGRES_HOST", "POSTGRES_PORT")?)?,
            rabbitmq: FaultProxy::start(&server("RABBITMQ_HOST", "RABBITMQ_PORT")?)?,
            object_store: FaultProxy::start(variable("OBJECT_STORE_ENDPOINT")?)?,
        })
    }

    /// The environment that makes our programs use the proxies.
    pub fn environment(&self, direct: &Environment) -> Result<Environment> {
        let mut environment = direct.clone();
        let mut set = |name: &str, value: String| environment.insert(name.to_owned(), value);
        for (server, proxy) in [("POSTGRES", &self.postgres), ("RABBITMQ", &self.rabbitmq)] {
            set(&format!("{server}_HOST"), proxy.address().ip().to_string());
            set(&format!("{server}_PORT"), proxy.address().port().to_string());
        }
        set("OBJECT_STORE_ENDPOINT", self.object_store.url());
        Ok(environment)
    }

    /// All proxies, with the names of their servers.
    pub const fn all(&self) -> [(&'static str, &FaultProxy); 3] {
        [
            ("postgres", &self.postgres),
            ("rabbitmq", &self.rabbitmq),
            ("object store", &self.object_store),
        ]
    }

    /// Makes all proxies forward everything again.
    pub async fn restore(&self) {
        for (_, proxy) in self.all() {
            proxy.restore().await;
        }
    }
}

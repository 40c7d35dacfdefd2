//! Isolated resources for each test inside one running stack.

use std::thread;
use std::time::Duration;

use crate::access::{Access, Environment, ObjectStoreAccess, PostgresAccess, RabbitMqAccess, use_account};
use crate::error::{Error, Result};
use crate::{project, secret};

/// A fresh database, a fresh virtual host (or unique queue names) and two fresh buckets.
///
/// Dropping this value removes the database and the virtual host. The buckets stay until the stack ends.
#[derive(Debug)]
pub struct Scratch {
    pub postgres: PostgresAccess,
    pub rabbitmq: RabbitMqAccess,
    pub object_store: ObjectStoreAccess,
    /// The job queue: the default name in a fresh virtual host, or a unique name.
    pub queue: String,
}

/// Creates a fresh database, virtual host and buckets in the stack that the environment names.
///
/// # Errors
/// [`Error::NoStack`] when the environment names no stack.
pub async fn scratch() -> Result<Scratch> {
    let missing = |name: &str| Error::NoStack { missing: name.into() };
    let mut postgres = PostgresAccess::from_environment()?.ok_or_else(|| missing("POSTGRES_HOST"))?;
    let mut rabbitmq = RabbitMqAccess::from_environment()?.ok_or_else(|| missing("RABBITMQ_HOST"))?;
    let object_store =
        ObjectStoreAccess::from_environment()?.ok_or_else(|| missing("OBJECT_STORE_ENDPOINT"))?;

    let name = format!("scratch_{}", secret::suffix()?);
    postgres.database.clone_from(&name);
    postgres.create_database().await?;
    let buckets = name.replace('_', "-");
    let object_store = ObjectStoreAccess {
        input_bucket: format!("{buckets}-input"),
        output_bucket: format!("{buckets}-output"),
        ..object_store
    };
    object_store.create_buckets().await?;
    let queue = if rabbitmq.management.is_some() {
        rabbitmq.vhost = name;
        rabbitmq.create_vhost().await?;
        "images".into()
    } else {
        format!("{name}.images")
    };
    Ok(Scratch {
        postgres,
        rabbitmq,
        object_store,
        queue,
    })
}

impl Scratch {
    /// The environment that makes our programs use these resources.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new();
        self.postgres.write(&mut environment);
        self.rabbitmq.write(&mut environment);
        self.object_store.write(&mut environment);
        environment.insert("RABBITMQ_QUEUE".into(), self.queue.clone());
        project::write_onnx_runtime(&mut environment);
        environment
    }

    /// As [`Self::environment`], with the object store account of one of our programs (see [`use_account`]).
    #[must_use]
    pub fn environment_for(&self, account: &str) -> Environment {
        let mut environment = self.environment();
        use_account(&mut environment, account);
        environment
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (postgres, rabbitmq) = (self.postgres.clone(), self.rabbitmq.clone());
        let removal = async move {
            // Errors are harmless: the end of the stack removes the rest.
            let _ = postgres.drop_database().await;
            if rabbitmq.management.is_some() {
                let _ = rabbitmq.delete_vhost().await;
            }
        };
        // The caller's runtime may be shutting down, so this needs another one. The limit keeps tests short.
        let worker = thread::spawn(move || {
            if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() {
                runtime
                    .block_on(async { tokio::time::timeout(Duration::from_secs(5), removal).await })
                    .ok();
            }
        });
        let _ = worker.join();
    }
}

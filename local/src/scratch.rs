//! A place of its own for each test, inside one running stack.

use std::thread;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;

use crate::access::{
    Environment, ObjectStoreAccess, PostgresAccess, RabbitMqAccess, percent_encoded, under_account,
};
use crate::error::{Error, Result};
use crate::server::{create_buckets, create_database, drop_database, management, policies};
use crate::{runtime_library, secret};

/// A fresh database, a fresh virtual host (or queue names of its own) and two fresh buckets.
///
/// Dropping it removes database and virtual host. The buckets stay until the stack ends.
#[derive(Debug)]
pub struct Scratch {
    /// PostgreSQL, with the fresh database.
    pub postgres: PostgresAccess,
    /// RabbitMQ, with the fresh virtual host.
    pub rabbitmq: RabbitMqAccess,
    /// The store, with the fresh buckets.
    pub object_store: ObjectStoreAccess,
    /// The job queue's name: the default one in a virtual host of its own, else a unique one.
    pub queue: String,
    maintenance: PostgresAccess,
}

/// Creates a place of its own in the stack that the environment names.
///
/// # Errors
/// [`Error::NoStack`] when the environment names none.
pub async fn scratch() -> Result<Scratch> {
    let missing = |name: &str| Error::NoStack { missing: name.into() };
    let maintenance = PostgresAccess::from_environment()?.ok_or_else(|| missing("POSTGRES_HOST"))?;
    let mut rabbitmq = RabbitMqAccess::from_environment()?.ok_or_else(|| missing("RABBITMQ_HOST"))?;
    let object_store =
        ObjectStoreAccess::from_environment()?.ok_or_else(|| missing("OBJECT_STORE_ENDPOINT"))?;

    let name = format!("scratch_{}", secret::suffix()?);
    let postgres = PostgresAccess {
        database: name.clone(),
        ..maintenance.clone()
    };
    create_database(&maintenance, &name).await?;
    let buckets = name.replace('_', "-");
    let object_store = ObjectStoreAccess {
        input_bucket: format!("{buckets}-input"),
        output_bucket: format!("{buckets}-output"),
        ..object_store
    };
    create_buckets(&object_store).await?;
    let queue = if rabbitmq.management.is_some() {
        rabbitmq.vhost = name;
        create_vhost(&rabbitmq).await?;
        "images".into()
    } else {
        format!("{name}.images")
    };
    Ok(Scratch {
        postgres,
        rabbitmq,
        object_store,
        queue,
        maintenance,
    })
}

/// Creates the virtual host with the project's policies.
async fn create_vhost(access: &RabbitMqAccess) -> Result<()> {
    let vhost = percent_encoded(&access.vhost);
    management(access, Method::PUT, &format!("/api/vhosts/{vhost}"), None).await?;
    let everything = json!({ "configure": ".*", "write": ".*", "read": ".*" });
    let user = percent_encoded(&access.username);
    management(
        access,
        Method::PUT,
        &format!("/api/permissions/{vhost}/{user}"),
        Some(&everything),
    )
    .await?;
    for policy in policies("images")? {
        let name = percent_encoded(policy["name"].as_str().unwrap_or_default());
        management(
            access,
            Method::PUT,
            &format!("/api/policies/{vhost}/{name}"),
            Some(&policy),
        )
        .await?;
    }
    Ok(())
}

impl Scratch {
    /// The environment with which our programs use this place.
    #[must_use]
    pub fn environment(&self) -> Environment {
        let mut environment = Environment::new();
        self.postgres.write(&mut environment);
        self.rabbitmq.write(&mut environment);
        self.object_store.write(&mut environment);
        environment.insert("RABBITMQ_QUEUE".into(), self.queue.clone());
        if let Some(path) = runtime_library::path() {
            environment.insert(runtime_library::VARIABLE.into(), path);
        }
        environment
    }

    /// The same for one of our programs, under its own account at the object store (see [`under_account`]).
    #[must_use]
    pub fn environment_of(&self, account: &str) -> Environment {
        let mut environment = self.environment();
        under_account(&mut environment, account);
        environment
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let (maintenance, rabbitmq) = (self.maintenance.clone(), self.rabbitmq.clone());
        let database = self.postgres.database.clone();
        let removal = async move {
            // Left-overs are harmless: the stack's end removes them too.
            let _ = drop_database(&maintenance, &database).await;
            if rabbitmq.management.is_some() {
                let vhost = percent_encoded(&rabbitmq.vhost);
                let _ = management(&rabbitmq, Method::DELETE, &format!("/api/vhosts/{vhost}"), None).await;
            }
        };
        // Not on the caller's runtime, which may be ending, and not longer than a test can wait.
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

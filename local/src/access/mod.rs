//! The client side of the servers: addresses and credentials, the environment variables that pass them to our programs, and
//! the requests that a stack sends.

mod definitions;
mod object_store;
mod opensearch;
mod postgres;
mod rabbitmq;
mod variable;

pub(crate) use definitions::definitions_with_user;
pub use object_store::{ObjectStoreAccess, use_account};
pub(crate) use opensearch::OPENSEARCH_MISSING;
pub use opensearch::OpenSearchAccess;
pub use postgres::PostgresAccess;
pub use rabbitmq::RabbitMqAccess;
pub use variable::Environment;
pub(crate) use variable::{Access, STARTED, external, started_by_enclosing_stack};

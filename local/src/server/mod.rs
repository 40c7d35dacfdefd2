//! Servers: started by this stack ("managed"), or external.

mod handle;
mod managed;
mod object_store;
mod opensearch;
mod postgres;
mod rabbitmq;

pub use handle::Server;
pub(crate) use handle::ServerRecord;
pub(crate) use object_store::start as start_object_store;
pub(crate) use opensearch::{Unavailable, launch as launch_opensearch};
pub(crate) use postgres::start as start_postgres;
pub(crate) use rabbitmq::start as start_rabbitmq;

//! Shared runtime of the services: settings, message broker, object store, HTTP server, admin port and
//! shutdown. Nothing here knows about photos.

pub mod admin;
pub mod backoff;
pub mod broker;
pub mod failpoint;
pub mod http;
pub mod min_rate;
pub mod settings;
pub mod shutdown;
pub mod store;
mod tcp;

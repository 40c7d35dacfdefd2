//! What each service stands on: settings, the broker, the object store, the
//! HTTP server, the admin port, shutdown. Nothing in here knows about photos.

pub mod admin;
pub mod broker;
pub mod http;
pub mod pace;
pub mod settings;
pub mod shutdown;
pub mod store;
mod tcp;

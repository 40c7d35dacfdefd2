//! What each service stands on: settings, the broker, the object store, the
//! admin port, shutdown. Nothing in here knows about photos.

pub mod admin;
pub mod broker;
pub mod settings;
pub mod shutdown;
pub mod store;
mod tcp;

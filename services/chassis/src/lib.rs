//! Shared runtime of the services: settings, message broker, object store, HTTP server, admin port and
//! shutdown. Nothing here knows about photos.

#![allow(missing_docs, reason = "a private crate: most names need no comment")]

pub mod admin;
pub mod broker;
pub mod http;
pub mod pace;
pub mod settings;
pub mod shutdown;
pub mod store;
mod tcp;

//! The embedded S3 store: the program `local s3-server`, its accounts and their permissions.

mod policies;
mod server;

pub(crate) use policies::{account_access_key, owner_access_key};
pub use server::serve;

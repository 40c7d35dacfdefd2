//! The web service's HTTP side.

mod access;
mod client;
mod given;
mod image;
mod linger;
mod metrics;
mod observe;
mod openapi;
mod photos;
mod problem;
mod tokens;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use chassis::store::Store;
use contract::PhotoId;
use prometheus_client::registry::Registry;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use self::problem::WRONG_PROJECT;
pub use self::{
    client::TrustedProxies,
    metrics::ApiMetrics,
    openapi::description,
    problem::{Code, Problem},
    tokens::{Caller, Denied, Scope, Tokens, TokensError},
};
use crate::{
    breaker::{Breaker, BreakerSettings},
    database::Database,
    photo::{Photo, Records, by_id},
    store::ObjectStore,
    upload::{Originals, Receiver, UploadSettings},
};

/// What the API is made of.
#[derive(Debug)]
pub struct Parts {
    /// PostgreSQL.
    pub database: Database,
    /// How long each piece of a request's work in the database may take.
    pub database_timeout: Duration,
    /// S3.
    pub store: Store,
    /// When a server that does not answer is left alone.
    pub breaker: BreakerSettings,
    /// Limits of uploads.
    pub upload: UploadSettings,
    /// Who may do what.
    pub tokens: Tokens,
    /// Who may say for whom a request comes.
    pub trusted_proxies: TrustedProxies,
    /// Woken after each photo that has a new job.
    pub relay: Arc<Notify>,
    /// Uploads and the removal of what they left; to be waited for at the
    /// end.
    pub tasks: TaskTracker,
}

/// What all requests share.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    records: Records,
    store: ObjectStore,
    receiver: Receiver,
    tokens: Tokens,
    trusted_proxies: TrustedProxies,
    metrics: ApiMetrics,
    tasks: TaskTracker,
}

impl std::ops::Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Api {
    /// A photo that the caller may see; others are unknown to it.
    async fn photo(&self, id: PhotoId, caller: &Caller) -> Result<Photo, Problem> {
        let photo = self
            .records
            .read(move |connection| Box::pin(by_id(connection, id)))
            .await?;
        match photo {
            Some(photo) if caller.may_see(&photo.project) => Ok(photo),
            Some(_) => Err(Problem::new(Code::PhotoUnknown).reason(WRONG_PROJECT)),
            None => Err(Problem::new(Code::PhotoUnknown)),
        }
    }
}

/// The routes, answering from these parts; their metrics go to `registry`.
///
/// Needs a Tokio runtime.
pub fn router(parts: Parts, registry: &mut Registry) -> Router {
    let reads = Breaker::new("postgres", parts.breaker);
    let writes = Breaker::new("postgres-writes", parts.breaker);
    let store = Breaker::new("object-store", parts.breaker);
    let records = Records::new(
        parts.database,
        reads.clone(),
        writes.clone(),
        parts.database_timeout,
    );
    let objects = ObjectStore::new(&parts.store, store.clone(), parts.upload.store_timeout);
    let originals = Originals::new(objects.clone(), parts.upload.idle_timeout, parts.tasks.clone());
    let receiver = Receiver::new(records.clone(), originals, parts.upload, parts.relay);
    let metrics = ApiMetrics::default();
    metrics.register(registry);
    ApiMetrics::register_state(registry, vec![reads, writes, store], receiver.budget().clone());
    if !parts.tokens.in_use() {
        tracing::warn!("TOKENS_FILE is not set: everybody may send and see photos");
    }
    let api = Api(Arc::new(Shared {
        records,
        store: objects,
        receiver,
        tokens: parts.tokens,
        trusted_proxies: parts.trusted_proxies,
        metrics,
        tasks: parts.tasks,
    }));
    openapi::routes()
        .fallback(|| async { Problem::new(Code::NotFound) })
        .method_not_allowed_fallback(|| async { Problem::new(Code::MethodNotAllowed) })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(api.clone(), observe::observe))
        .with_state(api)
}

/// The panic itself is logged by the process's panic hook.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(Code::Internal).cause("panic").into_response()
}

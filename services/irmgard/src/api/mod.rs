//! The HTTP API of the web service.

mod extract;
mod image;
mod legacy;
mod linger;
mod metrics;
mod openapi;
mod photos;
mod problem;
mod request_log;
mod tokens;
mod trusted_proxies;

use std::{any::Any, sync::Arc, time::Duration};

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
};
use contract::PhotoId;
use prometheus_client::registry::Registry;
use service_runtime::store::Store;
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;
use tower_http::catch_panic::CatchPanicLayer;

use self::problem::WRONG_PROJECT;
pub use self::{
    metrics::ApiMetrics,
    openapi::openapi_json,
    problem::{Code, Problem},
    tokens::{AccessDenied, Caller, Scope, Tokens, TokensError},
    trusted_proxies::TrustedProxies,
};
use crate::{
    breaker::{Breaker, BreakerSettings},
    database::Database,
    photo::{Photo, Records, find_photo},
    store::ObjectStore,
    upload::{OriginalStore, UploadReceiver, UploadSettings},
};

/// What the API needs from the rest of the program.
#[derive(Debug)]
pub struct ApiDependencies {
    pub database: Database,
    /// Time limit of each piece of a request's work in the database.
    pub database_timeout: Duration,
    pub store: Store,
    pub breaker: BreakerSettings,
    pub upload: UploadSettings,
    pub tokens: Tokens,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// Wakes the relay after each photo with a new job.
    pub relay: Arc<Notify>,
    /// Uploads and the removal of their leftovers; wait for them at shutdown.
    pub tasks: TaskTracker,
}

/// State that all requests share.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<ApiState>);

#[derive(Debug)]
pub(crate) struct ApiState {
    records: Records,
    store: ObjectStore,
    receiver: UploadReceiver,
    tokens: Tokens,
    trusted_proxies: TrustedProxies,
    metrics: ApiMetrics,
    tasks: TaskTracker,
}

impl std::ops::Deref for Api {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.0
    }
}

impl Api {
    /// A photo that the caller may see. To the caller, other photos do not exist.
    async fn photo(&self, id: PhotoId, caller: &Caller) -> Result<Photo, Problem> {
        let photo = self
            .records
            .read(move |connection| Box::pin(find_photo(connection, id)))
            .await?;
        match photo {
            Some(photo) if caller.may_access(&photo.project) => Ok(photo),
            Some(_) => Err(Problem::new(Code::PhotoUnknown).reason(WRONG_PROJECT)),
            None => Err(Problem::new(Code::PhotoUnknown)),
        }
    }
}

/// The routes of the API. Registers their metrics.
///
/// Needs a Tokio runtime.
pub fn router(dependencies: ApiDependencies, registry: &mut Registry) -> Router {
    let reads = Breaker::new("postgres", dependencies.breaker);
    let writes = Breaker::new("postgres-writes", dependencies.breaker);
    let store = Breaker::new("object-store", dependencies.breaker);
    let records = Records::new(
        dependencies.database,
        reads.clone(),
        writes.clone(),
        dependencies.database_timeout,
    );
    let objects = ObjectStore::new(
        &dependencies.store,
        store.clone(),
        dependencies.upload.store_timeout,
    );
    let originals = OriginalStore::new(
        objects.clone(),
        dependencies.upload.idle_timeout,
        dependencies.tasks.clone(),
    );
    let receiver = UploadReceiver::new(
        records.clone(),
        originals,
        dependencies.upload,
        dependencies.relay,
    );
    let metrics = ApiMetrics::default();
    metrics.register(registry);
    ApiMetrics::register_live_gauges(registry, vec![reads, writes, store], receiver.budget().clone());
    if !dependencies.tokens.are_required() {
        tracing::warn!("authentication is off (TOKENS_FILE is not set): anyone can upload and read photos");
    }
    let api = Api(Arc::new(ApiState {
        records,
        store: objects,
        receiver,
        tokens: dependencies.tokens,
        trusted_proxies: dependencies.trusted_proxies,
        metrics,
        tasks: dependencies.tasks,
    }));
    openapi::routes()
        .fallback(|| async { Problem::new(Code::NotFound) })
        .method_not_allowed_fallback(|| async { Problem::new(Code::MethodNotAllowed) })
        .layer(CatchPanicLayer::custom(panicked))
        .layer(middleware::from_fn_with_state(
            api.clone(),
            request_log::log_request,
        ))
        .with_state(api)
}

/// The process's panic hook logs the panic itself.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    Problem::new(Code::Internal).cause("panic").into_response()
}

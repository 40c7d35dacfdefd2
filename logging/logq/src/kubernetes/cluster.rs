//! A connection to a cluster.

use std::{pin::pin, time::Duration};

use futures::{AsyncBufRead, AsyncBufReadExt};
use http::Request;
use k8s_openapi::{api::core::v1::Pod, apimachinery::pkg::apis::meta::v1::ListMeta};
use kube_client::{
    Client, Resource,
    api::{ListParams, Request as Resources},
};
use rustls::crypto::ring;
use serde::Deserialize;
use tokio::{task, time};

use super::{ClusterOptions, Error, run};

/// Pods per request, as kubectl requests them.
const PAGE_SIZE: u32 = 500;

/// Maximum size of a list, about 20,000 pods.
const MAX_LIST_BYTES: u64 = 512 * 1024 * 1024;

/// Maximum size of a response: a page of a list needs about 10 MiB.
const MAX_RESPONSE_BYTES: u64 = 64 * 1024 * 1024;

/// A client of one cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub(super) client: Client,
    /// The URL of the API server.
    server: String,
}

impl Cluster {
    /// Reads the kubeconfig and gets the credentials. Runs the credential plugin, if there is one.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn connect(options: &ClusterOptions) -> Result<Self, Error> {
        // The program may have installed a provider before, which works as well.
        let _ = ring::default_provider().install_default();
        let options = options.clone();
        run(async move {
            let config = options.load().await?;
            let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
            let client = task::spawn_blocking(move || Client::try_from(config)).await;
            let client = client.map_err(|error| Error::Failed {
                reason: error.to_string(),
            })?;
            let client = client.map_err(|error| match &error {
                kube_client::Error::Auth(error) => error.into(),
                error => Error::Kubeconfig {
                    reason: error.to_string(),
                },
            })?;
            Ok(Self { client, server })
        })
        .await
    }

    /// Lists pods as JSON, one [`PodList`](k8s_openapi::api::core::v1::PodList) for each page. Without a namespace,
    /// those of all namespaces.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_pods(
        &self,
        namespace: Option<&str>,
        selector: Option<&str>,
    ) -> Result<Vec<Vec<u8>>, Error> {
        let cluster = self.clone();
        let resources = Resources::new(Pod::url_path(&(), namespace));
        let mut parameters = list_parameters(selector);
        run(async move {
            let mut pages = Vec::new();
            let mut bytes = 0;
            loop {
                let request = resources.list(&parameters).map_err(invalid_request)?;
                let page = cluster.read(request).await?;
                bytes += page.len() as u64;
                if bytes > MAX_LIST_BYTES {
                    return Err(Error::TooLong(MAX_LIST_BYTES >> 20));
                }
                let next = continue_token(&page);
                pages.push(page);
                match next {
                    Some(token) => parameters = parameters.continue_token(&token),
                    None => return Ok(pages),
                }
            }
        })
        .await
    }

    /// The path of [`Self::list_pods`], for people.
    #[must_use]
    pub fn list_path(namespace: Option<&str>, selector: Option<&str>) -> String {
        let request = Resources::new(Pod::url_path(&(), namespace)).list(&list_parameters(selector));
        path(request.as_ref().ok())
    }

    /// Requests a path of the API server within a time limit.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn get(&self, path: &str, limit: Duration) -> Result<Vec<u8>, Error> {
        let request = Request::get(path).body(Vec::new());
        let request = request.map_err(|error| Error::Failed {
            reason: error.to_string(),
        })?;
        let cluster = self.clone();
        let response = run(async move { cluster.read(request).await });
        time::timeout(limit, response)
            .await
            .unwrap_or(Err(Error::Timeout(limit)))
    }

    /// Reads a whole response.
    async fn read(&self, request: Request<Vec<u8>>) -> Result<Vec<u8>, Error> {
        let mut response = pin!(self.open(request).await?);
        let mut body = Vec::new();
        loop {
            let chunk = response
                .fill_buf()
                .await
                .map_err(|error| Error::from_body(&error))?;
            if chunk.is_empty() {
                return Ok(body);
            }
            let length = chunk.len();
            body.extend_from_slice(chunk);
            response.consume_unpin(length);
            if body.len() as u64 > MAX_RESPONSE_BYTES {
                return Err(Error::TooLong(MAX_RESPONSE_BYTES >> 20));
            }
        }
    }

    /// Starts to read a response.
    pub(super) async fn open(&self, request: Request<Vec<u8>>) -> Result<impl AsyncBufRead + use<>, Error> {
        let response = self.client.request_stream(request).await;
        response.map_err(|error| self.error(&error))
    }

    pub(super) fn error(&self, error: &kube_client::Error) -> Error {
        Error::from_request(&self.server, error)
    }
}

fn list_parameters(selector: Option<&str>) -> ListParams {
    ListParams {
        label_selector: selector.map(str::to_owned),
        ..ListParams::default().limit(PAGE_SIZE)
    }
}

pub(super) fn invalid_request(error: kube_client::core::request::Error) -> Error {
    Error::Failed {
        reason: error.to_string(),
    }
}

/// The path and query of a request, for people.
pub(super) fn path<B>(request: Option<&Request<B>>) -> String {
    let path = request.map_or_else(String::new, |request| request.uri().to_string());
    path.replace("?&", "?").trim_end_matches('?').to_owned()
}

/// The token of the next page. A response that is not a list has none.
fn continue_token(page: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Page {
        metadata: ListMeta,
    }
    let page: Page = serde_json::from_slice(page).ok()?;
    page.metadata.continue_.filter(|token| !token.is_empty())
}

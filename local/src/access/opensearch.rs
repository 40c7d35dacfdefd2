//! OpenSearch.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::variable::{Access, Environment, http_client, set, variable};
use crate::error::Result;

/// Set by `local exec --with opensearch` when the machine cannot run OpenSearch: the reason.
pub(crate) const OPENSEARCH_MISSING: &str = "LOCAL_OPENSEARCH_MISSING";

/// Address and account of OpenSearch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OpenSearchAccess {
    /// The base URL.
    pub url: String,
    /// `None` without authentication.
    pub username: Option<String>,
    pub password: Option<String>,
}

impl OpenSearchAccess {
    /// The server that the environment names, if any.
    #[must_use]
    pub fn from_environment() -> Option<Self> {
        Some(Self {
            url: variable("LOGQ_OPENSEARCH_URL")?.trim_end_matches('/').to_owned(),
            username: variable("LOGQ_OPENSEARCH_USERNAME"),
            password: variable("LOGQ_OPENSEARCH_PASSWORD"),
        })
    }
}

impl Access for OpenSearchAccess {
    const SERVER: &'static str = "opensearch";

    fn find() -> Result<Option<Self>> {
        Ok(Self::from_environment())
    }

    fn write(&self, environment: &mut Environment) {
        set(environment, [("LOGQ_OPENSEARCH_URL", &*self.url)]);
        let (username, password) = (self.username.as_deref(), self.password.as_deref());
        set(
            environment,
            username.map(|name| ("LOGQ_OPENSEARCH_USERNAME", name)),
        );
        set(
            environment,
            password.map(|text| ("LOGQ_OPENSEARCH_PASSWORD", text)),
        );
    }

    async fn probe(&self) -> std::result::Result<(), String> {
        let response = async {
            // A successful answer means that the cluster has a manager and its indices are usable.
            let mut request =
                http_client(Duration::from_secs(5))?.get(format!("{}/_cluster/health", self.url));
            if let Some(username) = &self.username {
                request = request.basic_auth(username, self.password.as_deref());
            }
            request.send().await?.error_for_status()
        };
        response.await.map(drop).map_err(|error| error.to_string())
    }

    /// An external OpenSearch may still start, so it is not checked here.
    async fn prepare(&self) -> Result<()> {
        Ok(())
    }
}

//! OpenSearch for a test: the enclosing stack's, once it is ready.

use std::env;

use tokio::time::{Duration, Instant, sleep};

use crate::access::{self, OpenSearchAccess};
use crate::error::{Error, Result};
use crate::outside::not_tested;
use crate::server::probe_opensearch;

/// What `local exec --with opensearch` says to its command in place of an address, on a machine that cannot have OpenSearch.
pub(crate) const MISSING: &str = "LOCAL_OPENSEARCH_MISSING";

const PATIENCE: Duration = Duration::from_secs(300);

/// The OpenSearch that the environment names, when it answers: it is started beside the other servers, and nobody waits for it
/// but who uses it. None on a machine that cannot have one; then that `what` is not tested is said.
///
/// # Errors
/// [`Error::NoStack`] when the environment names none, [`Error::Request`] when it does not come up.
pub async fn opensearch(what: &str) -> Result<Option<OpenSearchAccess>> {
    let Some(access) = OpenSearchAccess::from_environment() else {
        return match env::var(MISSING) {
            Ok(reason) => {
                not_tested(&format!("{what}: {reason}"));
                Ok(None)
            }
            Err(_) => Err(Error::NoStack {
                missing: "LOGQ_OPENSEARCH_URL, for which the stack needs `--with opensearch`,".into(),
            }),
        };
    };
    let deadline = Instant::now() + PATIENCE;
    loop {
        match probe_opensearch(&access).await {
            Ok(()) => return Ok(Some(access)),
            Err(reason) if Instant::now() >= deadline => {
                return Err(Error::request(
                    format!("OpenSearch at {} is waited for", access.url),
                    reason,
                ));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether the OpenSearch of the environment was started by the enclosing stack, so that a test may delete what is in it. If not,
/// that `what` is not tested is said.
#[must_use]
pub fn opensearch_is_ours(what: &str) -> bool {
    let ours = access::started_by_us("opensearch");
    if !ours {
        not_tested(&format!(
            "{what}: OpenSearch is given from outside, and nothing is deleted there"
        ));
    }
    ours
}

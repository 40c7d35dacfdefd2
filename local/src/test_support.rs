//! For tests: the servers of the enclosing stack, and a note for every test that they do not allow.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

use tokio::time::{Duration, Instant, sleep};

use crate::access::{Access, OPENSEARCH_MISSING, OpenSearchAccess, started_by_enclosing_stack};
use crate::error::{Error, Result};

/// How long OpenSearch may take to answer.
const START_LIMIT: Duration = Duration::from_secs(300);

/// Reports that `what` is not tested with these servers. It writes to standard error directly, because the test harness
/// hides the output of passing tests. `local/test` repeats the line at the end.
pub fn not_tested(what: &str) {
    // A closed standard error is ignored.
    let _ = writeln!(io::stderr(), "not tested: {what}");
}

/// PostgreSQL's log file (JSON lines), from `LOCAL_POSTGRES_LOG`. A stack sets that variable for its own server. Without
/// it, reports that `what` is not tested.
#[must_use]
pub fn postgres_log(what: &str) -> Option<PathBuf> {
    let log = env::var_os("LOCAL_POSTGRES_LOG").map(PathBuf::from);
    if log.is_none() {
        not_tested(&format!(
            "{what}: LOCAL_POSTGRES_LOG does not name PostgreSQL's log file"
        ));
    }
    log
}

/// Waits for the OpenSearch that the environment names; it takes half a minute to start. On a machine that cannot run
/// OpenSearch: reports that `what` is not tested, and returns `None`.
///
/// # Errors
/// [`Error::NoStack`] when the environment names none, [`Error::Request`] when it does not answer within 5 minutes.
pub async fn opensearch(what: &str) -> Result<Option<OpenSearchAccess>> {
    let Some(access) = OpenSearchAccess::from_environment() else {
        return match env::var(OPENSEARCH_MISSING) {
            Ok(reason) => {
                not_tested(&format!("{what}: {reason}"));
                Ok(None)
            }
            Err(_) => Err(Error::NoStack {
                missing: "LOGQ_OPENSEARCH_URL, for which the stack needs `--with opensearch`,".into(),
            }),
        };
    };
    let deadline = Instant::now() + START_LIMIT;
    loop {
        match access.probe().await {
            Ok(()) => return Ok(Some(access)),
            Err(reason) if Instant::now() >= deadline => {
                return Err(Error::request(
                    format!(
                        "OpenSearch at {} did not answer within {START_LIMIT:?}",
                        access.url
                    ),
                    reason,
                ));
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Whether the enclosing stack started the OpenSearch of the environment, so that a test may delete data in it. If not,
/// reports that `what` is not tested.
#[must_use]
pub fn opensearch_is_ours(what: &str) -> bool {
    let ours = started_by_enclosing_stack("opensearch");
    if !ours {
        not_tested(&format!(
            "{what}: OpenSearch is external, and tests delete nothing there"
        ));
    }
    ours
}

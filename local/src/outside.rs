//! What servers given from outside do not allow to be tested.

use std::env;
use std::io::{self, Write};
use std::path::PathBuf;

/// Says that something is not tested with these servers. Past the test harness, which shows nobody what a test prints that
/// passes; `local/test` repeats it at the end.
pub fn not_tested(what: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "not tested: {what}");
}

/// Where PostgreSQL writes its log (JSON lines): what `LOCAL_POSTGRES_LOG` says, which a stack sets for a server of its own.
/// Without it, that `what` is not tested is said.
#[must_use]
pub fn postgres_log(what: &str) -> Option<PathBuf> {
    let log = env::var_os("LOCAL_POSTGRES_LOG").map(PathBuf::from);
    if log.is_none() {
        not_tested(&format!(
            "{what}: LOCAL_POSTGRES_LOG does not say where PostgreSQL's log is"
        ));
    }
    log
}

//! Failpoints: tests end the process at a given step, and check what the next worker does.
//!
//! The cargo feature `failpoints` compiles them in. The variable `FAILPOINTS` configures them:
//! - `anonymizer::after-put=return` ends the process at that step, as `kill -9` would.
//! - `…=return(17)` does so only for photo 17.
//! - `…=1*off->return` does so the second time.

/// Ends the process if `FAILPOINTS` says so for this failpoint.
#[cfg(feature = "failpoints")]
pub fn reach(name: &'static str, photo: Option<i64>) {
    fail::fail_point!(name, |only| if only.is_none_or(|id| id.parse().ok() == photo) {
        std::process::abort()
    });
}

/// The folder with the networks to load instead of the built-in ones: `anonymizer::networks=return(/folder)`.
#[cfg(feature = "failpoints")]
pub fn networks_folder() -> Option<std::path::PathBuf> {
    fail::fail_point!("anonymizer::networks", |folder| folder.map(Into::into));
    None
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn reach(_name: &'static str, _photo: Option<i64>) {}

/// Reads `FAILPOINTS`. Call it once, before any thread starts.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub const fn read_environment() {}

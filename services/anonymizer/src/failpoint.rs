//! Places where tests end the process, to see what its successor makes of it.
//!
//! With the cargo feature `failpoints`, the variable `FAILPOINTS` names the
//! places: `anonymizer::after-put=return` ends the process there as `kill -9`
//! would, `…=return(17)` only for photo 17, `…=1*off->return` the second time.
//! Without the feature nothing of this is compiled in.

/// Ends the process at once if the failpoint `name` asks for it.
#[cfg(feature = "failpoints")]
pub fn reach(name: &'static str, photo: Option<i64>) {
    fail::fail_point!(name, |only| if only.is_none_or(|id| id.parse().ok() == photo) {
        std::process::abort()
    });
}

/// The folder of networks that `FAILPOINTS` puts in the place of ours:
/// `anonymizer::networks=return(/folder)`.
#[cfg(feature = "failpoints")]
pub fn networks() -> Option<std::path::PathBuf> {
    fail::fail_point!("anonymizer::networks", |folder| folder.map(Into::into));
    None
}

/// Nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn reach(_name: &'static str, _photo: Option<i64>) {}

/// Reads `FAILPOINTS`; to be called once, before any thread is started.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub const fn read_environment() {}

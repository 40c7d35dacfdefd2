//! Failpoints: positions where tests kill the process to check that its successor recovers.
//!
//! With the cargo feature `failpoints`, the variable `FAILPOINTS` names them. `irmgard::after-put=return` ends the
//! process there like `kill -9`, `…=return(17)` only for photo 17, `…=1*off->return` the second time. Without the
//! feature, failpoints are not compiled in.

/// Aborts the process if `FAILPOINTS` activates the failpoint `name`.
#[cfg(feature = "failpoints")]
pub fn reach(name: &'static str, photo: Option<i64>) {
    fail::fail_point!(name, |only| if only.is_none_or(|id| id.parse().ok() == photo) {
        std::process::abort()
    });
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub const fn reach(_name: &'static str, _photo: Option<i64>) {}

/// The text that `FAILPOINTS` gives a failpoint: `name=return(text)`.
#[cfg(feature = "failpoints")]
pub fn text(name: &'static str) -> Option<String> {
    fail::fail_point!(name, |text| text);
    None
}

/// Reads `FAILPOINTS`. Call it once, before the first thread starts.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    std::mem::forget(fail::FailScenario::setup());
}

/// Does nothing: the feature `failpoints` is off.
#[cfg(not(feature = "failpoints"))]
pub const fn read_environment() {}

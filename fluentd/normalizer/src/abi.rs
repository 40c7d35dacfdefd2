//! The C interface, version [`VERSION`].
//!
//! ```c
//! typedef struct Handle Handle;
//!
//! uint32_t irmgard_normalizer_version(void);           // the plugin accepts only its own version
//! Handle  *irmgard_normalizer_new(void);               // NULL if memory or threads fail
//! void     irmgard_normalizer_free(Handle *);          // once, and no call after it
//!
//! // Each of these returns 0 and a response, or another status and an error message.
//! int32_t  irmgard_normalizer_open(Handle *, const uint8_t *folder, size_t, const uint8_t *node, size_t);
//! int32_t  irmgard_normalizer_feed(Handle *, const uint8_t *path, size_t, const uint8_t *metadata, size_t,
//!                                  const uint8_t *lines, size_t);
//! int32_t  irmgard_normalizer_expire(Handle *);
//! int32_t  irmgard_normalizer_commit(Handle *);
//! int32_t  irmgard_normalizer_rollback(Handle *);
//! int32_t  irmgard_normalizer_dead_letters(Handle *, const uint8_t *lines, size_t);
//! int32_t  irmgard_normalizer_notice(Handle *, uint64_t count, const uint8_t *node, size_t, const uint8_t *pod, size_t);
//!
//! const uint8_t *irmgard_normalizer_response(const Handle *);   // valid until the next call with this handle
//! size_t         irmgard_normalizer_response_length(const Handle *);
//! ```
//!
//! - A response is MessagePack: `{"events": [[stream, count, bytes]], "panics": [text], "rejected": [text]}`. `bytes` is a
//!   Fluentd event stream of records `{"id": …, "json": …}`.
//! - Bytes have a length and no end mark. The library copies what it needs; a pointer may be NULL if the length is 0.
//! - Texts are UTF-8. `lines` are any bytes; a line ends in `\n` or `\r\n`. `metadata` is JSON, `{"node": …, "labels": {…}}`, or empty.
//! - `open` precedes `feed`, `expire`, `commit` and `rollback`; the others need no folder. An empty node is unknown.
//! - `feed` and `expire` begin a transaction, which may have several. `commit` stores the pending lines; after any failure,
//!   `rollback` returns to the state before.
//! - Calls with one handle may come from any thread, one after the other.
//! - A panic does not leave the library: a call returns [`CallStatus::Panic`]. A panic on one line makes that line text.
#![expect(unsafe_code, reason = "C passes pointers")]

use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::slice;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use crate::container;
use crate::events::Events;
use crate::normalizer::{self, Normalizer};

/// Increases with each incompatible change.
const VERSION: u32 = 1;

/// The status of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
enum CallStatus {
    Ok = 0,
    Error = 1,
    Panic = 2,
    /// The handle is NULL.
    NoHandle = 3,
}

struct HandleState {
    normalizer: Option<Normalizer>,
    started: Instant,
    response: Vec<u8>,
}

/// The plugin's handle.
pub struct Handle(Mutex<HandleState>);

impl Handle {
    fn call(&self, action: impl FnOnce(&mut HandleState, &mut Events) -> Result<()>) -> CallStatus {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let result = panic::catch_unwind(AssertUnwindSafe(|| -> Result<()> {
            let mut events = Events::new();
            action(&mut state, &mut events)?;
            state.response.clear();
            Ok(events.write(&mut state.response)?)
        }));
        let (status, text) = match result {
            Ok(Ok(())) => return CallStatus::Ok,
            Ok(Err(error)) => (CallStatus::Error, format!("{error:#}")),
            Err(panic) => (CallStatus::Panic, container::message(&*panic)),
        };
        state.response = text.into_bytes();
        status
    }
}

impl HandleState {
    fn normalizer(&mut self) -> Result<&mut Normalizer> {
        self.normalizer.as_mut().context("the normaliser is not open")
    }
}

/// # Safety
/// `data` points to `length` bytes, or `length` is 0.
unsafe fn bytes<'a>(data: *const u8, length: usize) -> &'a [u8] {
    if data.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: the caller promises it.
    unsafe { slice::from_raw_parts(data, length) }
}

/// # Safety
/// As [`bytes`].
unsafe fn text<'a>(data: *const u8, length: usize) -> Result<&'a str> {
    // SAFETY: the caller promises it.
    Ok(str::from_utf8(unsafe { bytes(data, length) })?)
}

/// # Safety
/// `handle` is NULL, or from [`irmgard_normalizer_new`] and not freed.
unsafe fn call(
    handle: *const Handle,
    action: impl FnOnce(&mut HandleState, &mut Events) -> Result<()>,
) -> i32 {
    // SAFETY: the caller promises it.
    match unsafe { handle.as_ref() } {
        Some(handle) => handle.call(action) as i32,
        None => CallStatus::NoHandle as i32,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn irmgard_normalizer_version() -> u32 {
    VERSION
}

#[unsafe(no_mangle)]
pub extern "C" fn irmgard_normalizer_new() -> *mut Handle {
    static SILENCE: Once = Once::new();
    let handle = panic::catch_unwind(|| {
        // The plugin logs panics, in Fluentd's format. Tests need the default output.
        if !cfg!(test) {
            SILENCE.call_once(|| panic::set_hook(Box::new(|_| ())));
        }
        Box::into_raw(Box::new(Handle(Mutex::new(HandleState {
            normalizer: None,
            started: Instant::now(),
            response: Vec::new(),
        }))))
    });
    handle.unwrap_or(std::ptr::null_mut())
}

/// # Safety
/// `handle` is NULL, or from [`irmgard_normalizer_new`] and not freed; no other call uses it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_free(handle: *mut Handle) {
    if handle.is_null() {
        return;
    }
    // If a destructor panics, memory leaks.
    let _ = panic::catch_unwind(|| {
        // SAFETY: the caller promises it.
        drop(unsafe { Box::from_raw(handle) });
    });
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_open(
    handle: *const Handle,
    folder: *const u8,
    folder_length: usize,
    node: *const u8,
    node_length: usize,
) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |state, _| {
            let folder = Path::new(text(folder, folder_length)?);
            let node = Some(text(node, node_length)?).filter(|node| !node.is_empty());
            state.normalizer = Some(Normalizer::open(folder, node, state.started.elapsed())?);
            Ok(())
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_feed(
    handle: *const Handle,
    path: *const u8,
    path_length: usize,
    metadata: *const u8,
    metadata_length: usize,
    lines: *const u8,
    lines_length: usize,
) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |state, events| {
            let now = state.started.elapsed();
            let (path, metadata) = (text(path, path_length)?, text(metadata, metadata_length)?);
            let lines = bytes(lines, lines_length);
            state.normalizer()?.feed(path, metadata, lines, now, events)
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_expire(handle: *const Handle) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |state, events| {
            let now = state.started.elapsed();
            state.normalizer()?.expire(now, events);
            Ok(())
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_commit(handle: *const Handle) -> i32 {
    // SAFETY: the caller promises it.
    unsafe { call(handle, |state, _| state.normalizer()?.commit()) }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_rollback(handle: *const Handle) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |state, _| {
            let now = state.started.elapsed();
            state.normalizer()?.rollback(now);
            Ok(())
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_dead_letters(
    handle: *const Handle,
    lines: *const u8,
    length: usize,
) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |_, events| {
            normalizer::read_dead_letters(bytes(lines, length), events);
            Ok(())
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_notice(
    handle: *const Handle,
    count: u64,
    node: *const u8,
    node_length: usize,
    pod: *const u8,
    pod_length: usize,
) -> i32 {
    // SAFETY: the caller promises it.
    unsafe {
        call(handle, |_, events| {
            normalizer::add_notice(count, text(node, node_length)?, text(pod, pod_length)?, events)
        })
    }
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_response(handle: *const Handle) -> *const u8 {
    // SAFETY: the caller promises it.
    let handle = unsafe { handle.as_ref() };
    handle.map_or(std::ptr::null(), |handle| {
        handle
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .response
            .as_ptr()
    })
}

/// # Safety
/// See the module's documentation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn irmgard_normalizer_response_length(handle: *const Handle) -> usize {
    // SAFETY: the caller promises it.
    let handle = unsafe { handle.as_ref() };
    handle.map_or(0, |handle| {
        handle
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .response
            .len()
    })
}

#[cfg(test)]
mod tests {
    use std::ptr::null;

    use super::*;

    fn response(handle: *const Handle) -> Vec<u8> {
        // SAFETY: the handle is not freed, and nothing else calls it.
        unsafe {
            bytes(
                irmgard_normalizer_response(handle),
                irmgard_normalizer_response_length(handle),
            )
        }
        .to_vec()
    }

    #[test]
    fn calls_of_a_plugin() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().to_str().unwrap();
        let (path, metadata) = ("/var/log/pods/a_b_c/d/0.log", "{\"labels\":{}}");
        let lines = "no line of a runtime\n2026-11-22T10:49:43.1Z stdout F text";
        let handle = irmgard_normalizer_new();
        // SAFETY: pointers and lengths belong together; the handle is freed at the end.
        unsafe {
            let feed = |path: &[u8]| {
                let (metadata, lines) = (metadata.as_bytes(), lines.as_bytes());
                irmgard_normalizer_feed(
                    handle,
                    path.as_ptr(),
                    path.len(),
                    metadata.as_ptr(),
                    metadata.len(),
                    lines.as_ptr(),
                    lines.len(),
                )
            };
            assert_eq!(feed(path.as_bytes()), CallStatus::Error as i32);
            assert_eq!(response(handle), b"the normaliser is not open");
            let opened = irmgard_normalizer_open(handle, folder.as_ptr(), folder.len(), null(), 0);
            assert_eq!(opened, CallStatus::Ok as i32);
            assert_eq!(feed(b"\xff"), CallStatus::Error as i32);
            assert_eq!(feed(path.as_bytes()), CallStatus::Ok as i32);
            let events = String::from_utf8_lossy(&response(handle)).into_owned();
            assert_eq!(events.matches("\"message\":").count(), 2, "{events}");
            assert_eq!(irmgard_normalizer_commit(handle), CallStatus::Ok as i32);
            assert_eq!(irmgard_normalizer_rollback(null()), CallStatus::NoHandle as i32);
            irmgard_normalizer_free(handle);
        }
    }

    #[test]
    fn a_panic_is_a_status() {
        let handle = irmgard_normalizer_new();
        // SAFETY: the handle is freed at the end.
        unsafe {
            assert_eq!(
                call(handle, |_, _| panic!("it is broken")),
                CallStatus::Panic as i32
            );
            assert_eq!(response(handle), b"it is broken");
            assert_eq!(irmgard_normalizer_commit(handle), CallStatus::Error as i32);
            irmgard_normalizer_free(handle);
        }
    }
}

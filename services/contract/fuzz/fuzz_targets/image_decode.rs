#![no_main]

#[path = "../checks/image_decode.rs"]
mod checks;
// The worker's own decoder, without the rest of the worker: its libraries
// take a quarter of an hour to build for fuzzing.
#[allow(dead_code, reason = "a part of the worker")]
#[path = "../../../anonymizer/imaging/src/picture/mod.rs"]
mod picture;

libfuzzer_sys::fuzz_target!(|data: &[u8]| checks::check(data));

//! The child's side: reads one photo from stdin, writes one reply to stdout.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use imaging::anonymize;
use rlimit::Resource;
use service_runtime::failpoint;
use service_runtime::settings::{Environment, SettingsReader};

use super::protocol::{Reply, Request, read_header, write_header};
use crate::{
    attempt::{Attempt, classify_attempt, load_detector},
    settings::PhotoSettings,
};

/// Maximum size of a photo, in bytes. A larger length in a request is an error.
const MAX_PHOTO_BYTES: u64 = 4 << 30;

/// Seconds between the soft and the hard limit on CPU time.
const CPU_GRACE_SECONDS: u64 = 5;

/// Serves one request. An invalid request ends with exit code 1, which counts as a crash.
#[must_use]
pub fn run(environment: &dyn Environment) -> ExitCode {
    match serve(environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without stderr, only the exit code reports the error.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(environment: &dyn Environment) -> anyhow::Result<()> {
    let mut stdin = io::stdin().lock();
    let request: Request = read_header(&mut stdin).context("reading the request")?;
    set_limits(&request).context("setting limits")?;
    anyhow::ensure!(
        request.length <= MAX_PHOTO_BYTES,
        "the photo has {} bytes: the maximum is {MAX_PHOTO_BYTES}",
        request.length
    );
    let mut photo = Vec::new();
    stdin
        .take(request.length)
        .read_to_end(&mut photo)
        .context("reading the photo")?;
    anyhow::ensure!(
        u64::try_from(photo.len())? == request.length,
        "the photo is incomplete"
    );
    let (reply, jpeg) = anonymize_photo(environment, &request, &photo);
    let mut stdout = io::stdout().lock();
    write_header(&mut stdout, &reply)?;
    stdout.write_all(&jpeg)?;
    Ok(stdout.flush()?)
}

/// Sets the limits of this process:
/// - Memory. The kernel also kills this process first when the machine's memory runs out.
/// - CPU time, in case the worker is gone and cannot kill this process.
/// - No core file, because it would contain the photo.
///
/// `RLIMIT_DATA` instead of `RLIMIT_AS`: since Linux 4.7 it counts private writable
/// memory, but not what allocators and libraries only reserve.
fn set_limits(request: &Request) -> io::Result<()> {
    // A precaution only: some sandboxes do not permit it.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let lower = |resource: Resource, soft: u64, hard: u64| {
        let (_, current) = resource.get()?;
        resource.set(soft.min(current), hard.min(current))
    };
    lower(Resource::DATA, request.memory_bytes, request.memory_bytes)?;
    // The soft limit sends SIGXCPU. The hard limit sends SIGKILL, which would look like a kill from outside.
    let grace = request.cpu_seconds.saturating_add(CPU_GRACE_SECONDS);
    lower(Resource::CPU, request.cpu_seconds, grace)?;
    lower(Resource::CORE, 0, 0)
}

fn anonymize_photo(environment: &dyn Environment, request: &Request, photo: &[u8]) -> (Reply, Vec<u8>) {
    let not_ready = |detail: String| (Reply::NotReady { detail }, Vec::new());
    let mut reader = SettingsReader::new(environment);
    let settings = PhotoSettings::read(&mut reader);
    if let Err(errors) = reader.finish() {
        return not_ready(errors.to_string());
    }
    let detector = match load_detector(&settings.library) {
        Ok(detector) => detector,
        Err(error) => return not_ready(error.to_string()),
    };
    if !photo.is_empty() {
        failpoint::reach("anonymizer::while-anonymizing", Some(request.photo));
    }
    match classify_attempt(anonymize(photo, &settings.anonymize, &detector)) {
        Attempt::Anonymized(anonymized) => {
            let reply = Reply::Anonymized {
                summary: anonymized.summary,
                length: anonymized.jpeg.len() as u64,
            };
            (reply, anonymized.jpeg)
        }
        Attempt::Refused { reason, detail, .. } => (Reply::Refused { reason, detail }, Vec::new()),
        Attempt::NotReady(detail) => not_ready(detail),
    }
}

//! The child's side: one photo in on stdin, one reply out on stdout.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    process::ExitCode,
};

use anyhow::Context as _;
use chassis::settings::{Environment, Reader};
use imaging::anonymize;
use rlimit::Resource;

use super::protocol::{Reply, Request, read_header, write_header};
use crate::{
    failpoint,
    settings::PhotoSettings,
    work::{Judgement, judge, load_detector},
};

/// The largest photo that is taken for one, bytes: no buffer is made for more.
const MAX_PHOTO_BYTES: u64 = 4 << 30;

/// Between the limits on CPU time, seconds.
const CPU_GRACE_SECONDS: u64 = 5;

/// Serves one request. Whatever goes wrong with the request itself ends in
/// exit code 1 and counts as a death.
#[must_use]
pub fn run(environment: &dyn Environment) -> ExitCode {
    match serve(environment) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Whoever reads stderr is the worker, or nobody.
            let _ = writeln!(io::stderr(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(environment: &dyn Environment) -> anyhow::Result<()> {
    let mut stdin = io::stdin().lock();
    let request: Request = read_header(&mut stdin).context("reading the request")?;
    limit(&request).context("setting limits")?;
    anyhow::ensure!(
        request.length <= MAX_PHOTO_BYTES,
        "photo of {} bytes",
        request.length
    );
    let mut photo = Vec::new();
    stdin
        .take(request.length)
        .read_to_end(&mut photo)
        .context("reading the photo")?;
    anyhow::ensure!(u64::try_from(photo.len())? == request.length, "photo cut off");
    let (reply, jpeg) = answer(environment, &request, &photo);
    let mut stdout = io::stdout().lock();
    write_header(&mut stdout, &reply)?;
    stdout.write_all(&jpeg)?;
    Ok(stdout.flush()?)
}

/// Memory that the photo may cost; the first process to go when the machine
/// runs out of it; CPU time, should the worker not be there to end it; and no
/// core file with somebody's face in it.
///
/// `RLIMIT_DATA` rather than `RLIMIT_AS`: since Linux 4.7 it counts private
/// writable memory, and leaves out what allocators and libraries only reserve.
fn limit(request: &Request) -> io::Result<()> {
    // Not permitted in some sandboxes, and only a precaution.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let lower = |resource: Resource, soft: u64, hard: u64| {
        let (_, current) = resource.get()?;
        resource.set(soft.min(current), hard.min(current))
    };
    lower(Resource::DATA, request.memory_bytes, request.memory_bytes)?;
    // SIGXCPU at the soft limit; SIGKILL, at the hard one, would look like
    // memory pressure.
    let grace = request.cpu_seconds.saturating_add(CPU_GRACE_SECONDS);
    lower(Resource::CPU, request.cpu_seconds, grace)?;
    lower(Resource::CORE, 0, 0)
}

fn answer(environment: &dyn Environment, request: &Request, photo: &[u8]) -> (Reply, Vec<u8>) {
    let not_ready = |detail: String| (Reply::NotReady { detail }, Vec::new());
    let mut reader = Reader::new(environment);
    let settings = PhotoSettings::read(&mut reader);
    if let Err(mistakes) = reader.finish() {
        return not_ready(mistakes.to_string());
    }
    let detector = match load_detector(&settings.library) {
        Ok(detector) => detector,
        Err(error) => return not_ready(error.to_string()),
    };
    if !photo.is_empty() {
        failpoint::reach("anonymizer::while-anonymizing", Some(request.photo));
    }
    match judge(anonymize(photo, &settings.anonymize, &detector)) {
        Judgement::Anonymized(done) => {
            let reply = Reply::Anonymized {
                width: done.width,
                height: done.height,
                detections: done.detections,
                checks: done.checks,
                stages: done.stages,
                length: done.jpeg.len() as u64,
            };
            (reply, done.jpeg)
        }
        Judgement::Refused { reason, detail, .. } => (Reply::Refused { reason, detail }, Vec::new()),
        Judgement::NotReady(detail) => not_ready(detail),
    }
}

//! The work: several photos at once, each by one thread.

use std::{
    fs::{self, Permissions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use chassis::settings::{Environment, Reader};
use imaging::{AnonymizeSettings, anonymize, detector::Detector};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Arguments, Entry, Plan, Report, plan};
use crate::{
    budget::{cores, job_bytes, memory_limit},
    settings::PhotoSettings,
};

/// The command or the settings make no sense.
const EXIT_USAGE: u8 = 2;

/// Size of photo by which the number of photos at once is reckoned.
const USUAL_PIXELS: u64 = 24_000_000;

/// Does what the command says, and tells how it went on stdout and stderr.
#[must_use]
pub fn run(arguments: &Arguments, environment: &dyn Environment) -> ExitCode {
    let mut reader = Reader::new(environment);
    let settings = PhotoSettings::read(&mut reader);
    let prepared = reader
        .finish()
        .map_err(|mistakes| mistakes.to_string())
        .and_then(|()| plan(&arguments.inputs, &arguments.output).map_err(|e| e.to_string()))
        .and_then(|plan| {
            Ok((
                plan,
                Detector::load(&settings.library).map_err(|e| e.to_string())?,
            ))
        });
    let (plan, detector) = match prepared {
        Ok(prepared) => prepared,
        Err(why) => {
            complain(&why);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let desk = Desk {
        detector,
        settings: settings.anonymize,
        json: arguments.json,
        overwrite: arguments.overwrite,
        bar: bar(plan.entries.len(), arguments.json),
        failed: AtomicUsize::new(0),
        stdout: Mutex::new(io::stdout()),
    };
    desk.work(&plan, arguments.jobs.map_or_else(photos_at_once, usize::from));
    desk.close(&plan)
}

/// What the threads share.
struct Desk {
    detector: Detector,
    settings: AnonymizeSettings,
    json: bool,
    overwrite: bool,
    bar: ProgressBar,
    failed: AtomicUsize,
    stdout: Mutex<io::Stdout>,
}

impl Desk {
    fn work(&self, plan: &Plan, threads: usize) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..threads.min(plan.entries.len()) {
                scope.spawn(|| {
                    while let Some(entry) = plan.entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.tell(&self.one(entry));
                    }
                });
            }
        });
    }

    fn one<'a>(&self, entry: &'a Entry) -> Report<'a> {
        let failed = |detail: String| Report::Failed {
            input: &entry.input,
            reason: None,
            detail,
        };
        let output = match &entry.output {
            Ok(output) => output,
            Err(why) => return failed(why.clone()),
        };
        if output.exists() && !self.overwrite {
            return failed(format!(
                "{} is there already; --overwrite replaces it",
                output.display()
            ));
        }
        let photo = match read(&entry.input, self.settings.limits.bytes) {
            Ok(photo) => photo,
            Err(why) => return failed(format!("cannot be read: {why}")),
        };
        let done = match anonymize(&photo, &self.settings, &self.detector) {
            Ok(done) => done,
            Err(error) => {
                return Report::Failed {
                    input: &entry.input,
                    reason: Some(error.reason()),
                    detail: error.to_string(),
                };
            }
        };
        match write(output, &done.jpeg, self.overwrite) {
            Ok(()) => Report::anonymized(&entry.input, output, done),
            Err(why) => failed(format!("{} cannot be written: {why}", output.display())),
        }
    }

    fn tell(&self, report: &Report<'_>) {
        let complaint = report.complaint();
        if complaint.is_some() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.bar.suspend(|| {
            if self.json {
                let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
                // A reader that went away has read enough; the photos go on.
                let _ = serde_json::to_writer(&mut *stdout, report);
                let _ = writeln!(stdout);
            } else if let Some(text) = complaint {
                complain(&text);
            }
        });
        self.bar.inc(1);
    }

    fn close(self, plan: &Plan) -> ExitCode {
        self.bar.finish_and_clear();
        let failed = self.failed.into_inner();
        if !self.json {
            let mut text = format!("{} anonymised, {failed} failed", plan.entries.len() - failed);
            if plan.passed_over > 0 {
                text.push_str(&format!(
                    ", {} files passed over that are no photos",
                    plan.passed_over
                ));
            }
            let stdout = self.stdout.into_inner().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(&stdout, "{text}");
        }
        if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// The whole file, or as much of it as shows that it is over the limit.
fn read(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut photo = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(fs::File::open(path)?, limit.saturating_add(1)),
        &mut photo,
    )?;
    Ok(photo)
}

/// Writes beside the target first: a file of that name is always whole.
fn write(target: &Path, jpeg: &[u8], overwrite: bool) -> io::Result<()> {
    let folder = target.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".anonymizer-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(jpeg)?;
    if overwrite {
        file.persist(target)?;
    } else {
        file.persist_noclobber(target)?;
    }
    Ok(())
}

fn photos_at_once() -> usize {
    let by_memory = memory_limit() / job_bytes(USUAL_PIXELS, 0);
    usize::try_from(by_memory).unwrap_or(usize::MAX).clamp(1, cores())
}

fn bar(photos: usize, json: bool) -> ProgressBar {
    let shown = !json && io::stderr().is_terminal();
    let target = if shown {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(photos as u64), target);
    match ProgressStyle::with_template("{bar:30} {pos}/{len} photos, {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn complain(text: &str) {
    // Without stderr there is only the exit code.
    let _ = writeln!(io::stderr(), "{text}");
}

//! Runs `anonymizer file`: several photos at once, each on one thread.

use std::{
    fs::{self, Permissions},
    io::{self, IsTerminal as _, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::ExitCode,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use imaging::{AnonymizeSettings, anonymize, detector::Detector};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use service_runtime::settings::{Environment, SettingsReader};

use super::{FileArguments, InputGuard, PhotoReport, Plan, PlannedPhoto, display_path};
use crate::{
    capacity::{USUAL_JOB_BYTES, cores, memory_limit},
    settings::PhotoSettings,
};

/// Exit code for invalid arguments or settings.
const EXIT_USAGE: u8 = 2;

/// Runs the command. Reports go to stdout, errors to stderr.
#[must_use]
pub fn run(arguments: &FileArguments, environment: &dyn Environment) -> ExitCode {
    let mut reader = SettingsReader::new(environment);
    let settings = PhotoSettings::read(&mut reader);
    let prepared = reader
        .finish()
        .map_err(|errors| errors.to_string())
        .and_then(|()| Plan::new(&arguments.inputs, &arguments.output).map_err(|e| e.to_string()))
        .and_then(|plan| {
            Ok((
                plan,
                Detector::load(&settings.library).map_err(|e| e.to_string())?,
            ))
        });
    let (plan, detector) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            print_error(&error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let run = FolderRun {
        guard: InputGuard::new(&arguments.inputs, &plan),
        detector,
        settings: settings.anonymize,
        json: arguments.json,
        overwrite: arguments.overwrite,
        progress: progress_bar(plan.photos.len(), arguments.json),
        failed_photos: AtomicUsize::new(0),
        stdout_failed: AtomicBool::new(false),
        stdout: Mutex::new(io::stdout()),
    };
    run.process_all(&plan, arguments.jobs.map_or_else(photos_at_once, usize::from));
    run.finish(&plan)
}

/// What the threads of one run share.
struct FolderRun {
    guard: InputGuard,
    detector: Detector,
    settings: AnonymizeSettings,
    json: bool,
    overwrite: bool,
    progress: ProgressBar,
    failed_photos: AtomicUsize,
    /// Writing to stdout failed.
    stdout_failed: AtomicBool,
    stdout: Mutex<io::Stdout>,
}

impl FolderRun {
    fn process_all(&self, plan: &Plan, threads: usize) {
        let next = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..threads.min(plan.photos.len()) {
                scope.spawn(|| {
                    while let Some(photo) = plan.photos.get(next.fetch_add(1, Ordering::Relaxed)) {
                        self.report(&self.process(photo));
                    }
                });
            }
        });
    }

    fn process<'a>(&self, photo: &'a PlannedPhoto) -> PhotoReport<'a> {
        let failed = |detail: String| PhotoReport::Failed {
            input: &photo.input,
            reason: None,
            detail,
        };
        let output = match &photo.output {
            Ok(output) => output,
            Err(error) => return failed(error.clone()),
        };
        if let Err(error) = self.guard.check(output) {
            return failed(error);
        }
        if output.exists() && !self.overwrite {
            return failed(format!(
                "{} already exists: use --overwrite to replace it",
                display_path(output)
            ));
        }
        let original = match read_up_to(&photo.input, self.settings.limits.bytes) {
            Ok(original) => original,
            Err(error) => return failed(format!("cannot be read: {error}")),
        };
        let anonymized = match anonymize(&original, &self.settings, &self.detector) {
            Ok(anonymized) => anonymized,
            Err(error) => {
                return PhotoReport::Failed {
                    input: &photo.input,
                    reason: Some(error.reason()),
                    detail: error.to_string(),
                };
            }
        };
        match write_atomically(output, &anonymized.jpeg, self.overwrite) {
            Ok(()) => PhotoReport::anonymized(&photo.input, output, anonymized),
            Err(error) => failed(format!("cannot write {}: {error}", display_path(output))),
        }
    }

    fn report(&self, report: &PhotoReport<'_>) {
        let error = report.error_message();
        if error.is_some() {
            self.failed_photos.fetch_add(1, Ordering::Relaxed);
        }
        self.progress.suspend(|| {
            if self.json {
                match report.json_line() {
                    Ok(line) => self.write_stdout(&line),
                    Err(error) => self.report_stdout_error(&error.into()),
                }
            } else if let Some(error) = error {
                print_error(&error);
            }
        });
        self.progress.inc(1);
    }

    /// Writes whole lines to stdout.
    fn write_stdout(&self, lines: &str) {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        match stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
            // A closed pipe is not an error: the remaining photos are still anonymised.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.report_stdout_error(&error),
            _ => {}
        }
    }

    fn report_stdout_error(&self, error: &io::Error) {
        if !self.stdout_failed.swap(true, Ordering::Relaxed) {
            print_error(&format!("stdout: {error}"));
        }
    }

    fn finish(self, plan: &Plan) -> ExitCode {
        self.progress.finish_and_clear();
        let failed = self.failed_photos.load(Ordering::Relaxed);
        let skipped_links = plan.skipped_links_text();
        if self.json {
            if let Some(text) = skipped_links {
                print_error(&text);
            }
        } else {
            let mut summary = format!("{} anonymised, {failed} failed", plan.photos.len() - failed);
            if plan.skipped_files > 0 {
                summary.push_str(&format!(", {} other files skipped", plan.skipped_files));
            }
            if let Some(text) = skipped_links {
                summary.push_str(&format!(", {text}"));
            }
            summary.push('\n');
            self.write_stdout(&summary);
        }
        if failed == 0 && !self.stdout_failed.into_inner() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}

/// Reads a file. Of a file over the limit it reads one byte more than the limit.
fn read_up_to(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    io::Read::read_to_end(
        &mut io::Read::take(fs::File::open(path)?, limit.saturating_add(1)),
        &mut bytes,
    )?;
    Ok(bytes)
}

/// Writes a temporary file and renames it, so that the target is never incomplete.
fn write_atomically(target: &Path, jpeg: &[u8], overwrite: bool) -> io::Result<()> {
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
    let by_memory = memory_limit() / USUAL_JOB_BYTES;
    usize::try_from(by_memory).unwrap_or(usize::MAX).clamp(1, cores())
}

fn progress_bar(photos: usize, json: bool) -> ProgressBar {
    let is_visible = !json && io::stderr().is_terminal();
    let target = if is_visible {
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

fn print_error(text: &str) {
    // Without stderr, only the exit code reports the error.
    let _ = writeln!(io::stderr(), "{text}");
}

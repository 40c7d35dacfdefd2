//! The work: several photos at once, each by one thread.

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

use chassis::settings::{Environment, Reader};
use imaging::{AnonymizeSettings, anonymize, detector::Detector};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Arguments, Entry, Guard, Plan, Report, plan, shown};
use crate::{
    capacity::{USUAL_JOB_BYTES, cores, memory_limit},
    settings::PhotoSettings,
};

/// The command or the settings make no sense.
const EXIT_USAGE: u8 = 2;

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
        guard: Guard::of(&arguments.inputs, &plan),
        detector,
        settings: settings.anonymize,
        json: arguments.json,
        overwrite: arguments.overwrite,
        bar: bar(plan.entries.len(), arguments.json),
        failed: AtomicUsize::new(0),
        untold: AtomicBool::new(false),
        stdout: Mutex::new(io::stdout()),
    };
    desk.work(&plan, arguments.jobs.map_or_else(photos_at_once, usize::from));
    desk.close(&plan)
}

/// What the threads share.
struct Desk {
    guard: Guard,
    detector: Detector,
    settings: AnonymizeSettings,
    json: bool,
    overwrite: bool,
    bar: ProgressBar,
    failed: AtomicUsize,
    /// Something could not be told on stdout.
    untold: AtomicBool,
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
        if let Err(why) = self.guard.check(output) {
            return failed(why);
        }
        if output.exists() && !self.overwrite {
            return failed(format!(
                "{} is there already; --overwrite replaces it",
                shown(output)
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
            Err(why) => failed(format!("{} cannot be written: {why}", shown(output))),
        }
    }

    fn tell(&self, report: &Report<'_>) {
        let complaint = report.complaint();
        if complaint.is_some() {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.bar.suspend(|| {
            if self.json {
                match report.line() {
                    Ok(line) => self.say(&line),
                    Err(error) => self.could_not_say(&error.into()),
                }
            } else if let Some(text) = complaint {
                complain(&text);
            }
        });
        self.bar.inc(1);
    }

    /// Writes to stdout, whole lines.
    fn say(&self, lines: &str) {
        let mut stdout = self.stdout.lock().unwrap_or_else(PoisonError::into_inner);
        match stdout.write_all(lines.as_bytes()).and_then(|()| stdout.flush()) {
            // A reader that went away has read enough; the photos go on.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => self.could_not_say(&error),
            _ => {}
        }
    }

    fn could_not_say(&self, error: &io::Error) {
        if !self.untold.swap(true, Ordering::Relaxed) {
            complain(&format!("stdout: {error}"));
        }
    }

    fn close(self, plan: &Plan) -> ExitCode {
        self.bar.finish_and_clear();
        let failed = self.failed.load(Ordering::Relaxed);
        let links = plan.links_told();
        if self.json {
            if let Some(links) = links {
                complain(links.trim_start_matches([',', ' ']));
            }
        } else {
            let mut text = format!("{} anonymised, {failed} failed", plan.entries.len() - failed);
            if plan.passed_over > 0 {
                text.push_str(&format!(
                    ", {} files passed over that are no photos",
                    plan.passed_over
                ));
            }
            text.push_str(&links.unwrap_or_default());
            text.push('\n');
            self.say(&text);
        }
        if failed == 0 && !self.untold.into_inner() {
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
    let by_memory = memory_limit() / USUAL_JOB_BYTES;
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

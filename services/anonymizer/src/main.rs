//! Starts the program: settings, telemetry, runtime, exit codes.

use std::{io::Write as _, process::ExitCode, time::Duration};

use anonymizer::{
    attempt::load_detector,
    child::{self, ChildProgram},
    cli::{AnonymizerCommand, Cli},
    file, serve,
    settings::{self, WorkerSettings},
};
use anyhow::Context as _;
use clap::Parser as _;
use service_runtime::{failpoint, settings::ProcessEnvironment};

/// Exit code for invalid settings.
const EXIT_INVALID_SETTINGS: u8 = 2;

/// Threads of the async runtime. Photos are processed by other threads.
const ASYNC_THREADS: usize = 2;

fn main() -> ExitCode {
    failpoint::read_environment();
    match Cli::parse().command {
        AnonymizerCommand::Serve => serve(),
        AnonymizerCommand::File(arguments) => file::run(&arguments, &ProcessEnvironment),
        AnonymizerCommand::PhotoProcess => child::run_photo_process(&ProcessEnvironment),
    }
}

fn serve() -> ExitCode {
    let telemetry = telemetry::init(telemetry::Service::new("anonymizer", env!("CARGO_PKG_VERSION")));
    let settings = WorkerSettings::from_environment(&ProcessEnvironment);
    let (_telemetry, settings) = match (telemetry, settings) {
        (Ok(guard), Ok(settings)) => (guard, settings),
        (telemetry, settings) => {
            let mut stderr = std::io::stderr();
            for error in [
                telemetry.err().map(|error| error.to_string()),
                settings.err().map(|error| error.to_string()),
            ] {
                // Without stderr, only the exit code reports the error.
                let _ = error.map(|text| writeln!(stderr, "{}", text.trim_end()));
            }
            return ExitCode::from(EXIT_INVALID_SETTINGS);
        }
    };
    match run_worker(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "anonymizer failed");
            ExitCode::FAILURE
        }
    }
}

fn run_worker(settings: WorkerSettings) -> anyhow::Result<()> {
    let detector = load_detector(&settings.photo.library)?;
    let child = ChildProgram {
        // The child must be the same program, even if its file was replaced.
        program: "/proc/self/exe".into(),
        environment: settings::child_environment(&ProcessEnvironment),
        time_limit: settings.photo_time_limit,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(ASYNC_THREADS)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let result = runtime.block_on(serve::serve(settings, detector, child));
    // A photo whose job was returned to the queue may still occupy a thread.
    runtime.shutdown_timeout(Duration::from_millis(100));
    result
}

//! The program: settings, telemetry, runtime, and exit codes.

use std::{io::Write as _, process::ExitCode, time::Duration};

use anonymizer::{
    child::{self, ChildProgram},
    cli::{Arguments, Command},
    failpoint, file, serve,
    settings::{self, Settings},
    work::load_detector,
};
use anyhow::Context as _;
use chassis::settings::ProcessEnvironment;
use clap::Parser as _;

/// The settings make no sense.
const EXIT_SETTINGS: u8 = 2;

/// Threads for waiting; work on photos has threads of its own.
const WAITING_THREADS: usize = 2;

fn main() -> ExitCode {
    failpoint::read_environment();
    match Arguments::parse().command {
        Command::Serve => serve(),
        Command::File(arguments) => file::run(&arguments, &ProcessEnvironment),
        Command::PhotoProcess => child::photo_process(&ProcessEnvironment),
    }
}

fn serve() -> ExitCode {
    let telemetry = telemetry::init(telemetry::Service::new("anonymizer", env!("CARGO_PKG_VERSION")));
    let settings = Settings::from_environment(&ProcessEnvironment);
    let (_telemetry, settings) = match (telemetry, settings) {
        (Ok(guard), Ok(settings)) => (guard, settings),
        (telemetry, settings) => {
            let mut stderr = std::io::stderr();
            for mistakes in [
                telemetry.err().map(|error| error.to_string()),
                settings.err().map(|error| error.to_string()),
            ] {
                // Without stderr there is only the exit code.
                let _ = mistakes.map(|text| writeln!(stderr, "{}", text.trim_end()));
            }
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    match start(settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "anonymizer ends");
            ExitCode::FAILURE
        }
    }
}

fn start(settings: Settings) -> anyhow::Result<()> {
    let detector = load_detector(&settings.photo.library)?;
    let child = ChildProgram {
        // Also when the file was replaced since: the child must be the same program.
        program: "/proc/self/exe".into(),
        environment: settings::child_environment(&ProcessEnvironment),
        time_limit: settings.photo_time_limit,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WAITING_THREADS)
        .enable_all()
        .build()
        .context("starting the runtime")?;
    let worked = runtime.block_on(serve::serve(settings, detector, child));
    // A photo that was given back may still keep a thread busy.
    runtime.shutdown_timeout(Duration::from_millis(100));
    worked
}

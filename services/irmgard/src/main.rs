//! `irmgard`: the web service and its commands.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use chassis::settings::{Mistakes, ProcessEnvironment};
use clap::Parser;
use irmgard::{
    cli::{Cli, Command, MigrateArguments},
    database::{self, SchemaError},
    failed, failpoint, serve,
    settings::{MigrateSettings, ServeSettings, ToolSettings},
    sweep,
};

/// A wrong command line (clap's own code) or configuration.
const WRONG_CONFIGURATION: u8 = 2;
/// The database's schema does not fit this program.
const WRONG_SCHEMA: u8 = 3;

fn main() -> ExitCode {
    failpoint::read_environment();
    let cli = Cli::parse();
    let work = match prepare(cli.command) {
        Ok(work) => work,
        Err(mistakes) => {
            complain(&format!(
                "The configuration is wrong:\n{mistakes}\nSee docs/configuration.md."
            ));
            // The telemetry's own mistakes are told in the same go.
            if let Err(error) = telemetry::init(service().on_stderr()) {
                complain(&error.to_string());
            }
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    // A command's standard output is its result, and a person reads its errors.
    let is_for_people = match &work {
        Work::Sweep(_, arguments) => !arguments.scheduled,
        Work::Bind(..) | Work::Failed(..) => true,
        Work::Serve(_) | Work::Migrate(..) => false,
    };
    let service = match work {
        Work::Serve(_) => service(),
        _ => service().on_stderr(),
    };
    let _telemetry = match telemetry::init(service) {
        Ok(guard) => guard,
        Err(error) => {
            complain(&format!(
                "The configuration is wrong:\n{error}\nSee docs/configuration.md."
            ));
            return ExitCode::from(WRONG_CONFIGURATION);
        }
    };
    match run(work) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_for_people {
                complain(&format!("{error:#}"));
            } else {
                tracing::error!(error = format!("{error:#}"), "irmgard failed");
            }
            match error.downcast_ref() {
                Some(SchemaError::TooOld { .. } | SchemaError::TooNew { .. } | SchemaError::Denied) => {
                    ExitCode::from(WRONG_SCHEMA)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A command with its settings.
enum Work {
    Serve(Box<ServeSettings>),
    Migrate(MigrateSettings, MigrateArguments),
    Sweep(Box<ToolSettings>, irmgard::cli::SweepArguments),
    Bind(Box<ToolSettings>, irmgard::cli::BindArguments),
    Failed(Box<ToolSettings>, irmgard::cli::FailedArguments),
}

fn prepare(command: Command) -> Result<Work, Mistakes> {
    let environment = &ProcessEnvironment;
    Ok(match command {
        Command::Serve => Work::Serve(Box::new(ServeSettings::from_environment(environment)?)),
        Command::Migrate(arguments) => {
            Work::Migrate(MigrateSettings::from_environment(environment)?, arguments)
        }
        Command::Sweep(arguments) => {
            Work::Sweep(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
        Command::Bind(arguments) => {
            Work::Bind(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
        Command::Failed(arguments) => {
            Work::Failed(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
    })
}

fn run(work: Work) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(async {
        match work {
            Work::Serve(settings) => serve::serve(*settings).await,
            Work::Migrate(settings, arguments) => migrate(settings, arguments).await,
            Work::Sweep(settings, arguments) => sweep::run(&settings, &arguments, &mut io::stdout()).await,
            Work::Bind(settings, arguments) => sweep::bind(&settings, arguments, &mut io::stdout()).await,
            Work::Failed(settings, arguments) => failed::run(&settings, arguments, &mut io::stdout()).await,
        }
    });
    // What still runs has had its time.
    runtime.shutdown_background();
    done
}

async fn migrate(settings: MigrateSettings, arguments: MigrateArguments) -> anyhow::Result<()> {
    let options = settings.database.connect_options();
    database::until_reachable(&options, arguments.wait).await?;
    let outcome = database::migrate(&options, settings.runtime_role.as_deref()).await?;
    tracing::info!(
        schema.before = outcome.before,
        schema.after = outcome.after,
        "the database's schema is up to date"
    );
    Ok(())
}

const fn service() -> telemetry::Service {
    telemetry::Service::new("irmgard", env!("CARGO_PKG_VERSION"))
}

/// For the person who started the program.
fn complain(text: &str) {
    // Where standard error is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "irmgard: {text}");
}

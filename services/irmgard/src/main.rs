//! `irmgard`: the web service and its commands. Owns the exit codes.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;
use irmgard::{
    cli::{Cli, IrmgardCommand, MigrateArguments},
    database::{self, SchemaError},
    failed, serve,
    settings::{MigrateSettings, ServeSettings, ToolSettings},
    sweep,
};
use service_runtime::failpoint;
use service_runtime::settings::{ProcessEnvironment, SettingsErrors};

/// Exit code for a wrong command line (clap's default) or a wrong configuration.
const EXIT_WRONG_CONFIGURATION: u8 = 2;
/// Exit code when the database's schema does not fit this program.
const EXIT_WRONG_SCHEMA: u8 = 3;

fn main() -> ExitCode {
    failpoint::read_environment();
    let cli = Cli::parse();
    let command = match prepare(cli.command) {
        Ok(command) => command,
        Err(errors) => {
            print_error(&format!(
                "The configuration is wrong:\n{errors}\nSee docs/configuration.md."
            ));
            // Report errors in the telemetry settings in the same run.
            if let Err(error) = telemetry::init(telemetry_service().on_stderr()) {
                print_error(&error.to_string());
            }
            return ExitCode::from(EXIT_WRONG_CONFIGURATION);
        }
    };
    // Standard output of a command holds its result, so its log lines go to standard error.
    let is_for_people = match &command {
        PreparedCommand::Sweep(_, arguments) => !arguments.scheduled,
        PreparedCommand::Bind(..) | PreparedCommand::Failed(..) => true,
        PreparedCommand::Serve(_) | PreparedCommand::Migrate(..) => false,
    };
    let service = match command {
        PreparedCommand::Serve(_) => telemetry_service(),
        _ => telemetry_service().on_stderr(),
    };
    let _telemetry = match telemetry::init(service) {
        Ok(guard) => guard,
        Err(error) => {
            print_error(&format!(
                "The configuration is wrong:\n{error}\nSee docs/configuration.md."
            ));
            return ExitCode::from(EXIT_WRONG_CONFIGURATION);
        }
    };
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if is_for_people {
                print_error(&format!("{error:#}"));
            } else {
                tracing::error!(error = format!("{error:#}"), "irmgard failed");
            }
            match error.downcast_ref() {
                Some(SchemaError::TooOld { .. } | SchemaError::TooNew { .. } | SchemaError::Denied) => {
                    ExitCode::from(EXIT_WRONG_SCHEMA)
                }
                _ => ExitCode::FAILURE,
            }
        }
    }
}

/// A command with its settings.
enum PreparedCommand {
    Serve(Box<ServeSettings>),
    Migrate(MigrateSettings, MigrateArguments),
    Sweep(Box<ToolSettings>, irmgard::cli::SweepArguments),
    Bind(Box<ToolSettings>, irmgard::cli::BindArguments),
    Failed(Box<ToolSettings>, irmgard::cli::FailedArguments),
}

fn prepare(command: IrmgardCommand) -> Result<PreparedCommand, SettingsErrors> {
    let environment = &ProcessEnvironment;
    Ok(match command {
        IrmgardCommand::Serve => {
            PreparedCommand::Serve(Box::new(ServeSettings::from_environment(environment)?))
        }
        IrmgardCommand::Migrate(arguments) => {
            PreparedCommand::Migrate(MigrateSettings::from_environment(environment)?, arguments)
        }
        IrmgardCommand::Sweep(arguments) => {
            PreparedCommand::Sweep(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
        IrmgardCommand::Bind(arguments) => {
            PreparedCommand::Bind(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
        IrmgardCommand::Failed(arguments) => {
            PreparedCommand::Failed(Box::new(ToolSettings::from_environment(environment)?), arguments)
        }
    })
}

fn run(command: PreparedCommand) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        match command {
            PreparedCommand::Serve(settings) => serve::serve(*settings).await,
            PreparedCommand::Migrate(settings, arguments) => migrate(settings, arguments).await,
            PreparedCommand::Sweep(settings, arguments) => {
                sweep::run(&settings, &arguments, &mut io::stdout()).await
            }
            PreparedCommand::Bind(settings, arguments) => {
                sweep::bind(&settings, arguments, &mut io::stdout()).await
            }
            PreparedCommand::Failed(settings, arguments) => {
                failed::run(&settings, arguments, &mut io::stdout()).await
            }
        }
    });
    // Tasks that still run have already had their grace period.
    runtime.shutdown_background();
    result
}

async fn migrate(settings: MigrateSettings, arguments: MigrateArguments) -> anyhow::Result<()> {
    let options = settings.database.connect_options();
    database::wait_until_reachable(&options, arguments.wait).await?;
    let migration = database::migrate(&options, settings.runtime_role.as_deref()).await?;
    tracing::info!(
        schema.before = migration.before,
        schema.after = migration.after,
        "the database's schema is up to date"
    );
    Ok(())
}

const fn telemetry_service() -> telemetry::Service {
    telemetry::Service::new("irmgard", env!("CARGO_PKG_VERSION"))
}

/// Prints a message to standard error.
fn print_error(text: &str) {
    // Nothing can be done if standard error is closed.
    let _ = writeln!(io::stderr(), "irmgard: {text}");
}

//! The command line of `local`.

mod demo;
mod exec;
pub mod output;
mod stack;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use local::{Limits, Stream};

/// The exit code when the stack itself fails, not the command in it.
pub const STACK_FAILED: u8 = 70;

/// Real servers as plain processes, for tests, the demonstration and benchmarks.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
pub struct Cli {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, Subcommand)]
enum LocalCommand {
    /// Run a command inside a temporary stack, and exit with its code.
    ///
    /// If the environment names a server (POSTGRES_HOST, RABBITMQ_HOST, OBJECT_STORE_ENDPOINT, with credentials), that server is
    /// used and none is started.
    ///
    /// OpenSearch needs half a minute to start. The command does not wait for it.
    Exec {
        /// Server to start besides PostgreSQL, RabbitMQ and the S3 store.
        #[arg(long)]
        with: Option<OptionalServer>,
        /// Command and arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Anonymise a folder of photos on the persistent stack, and leave the stack running.
    Demo {
        /// Folder with photos.
        photos: PathBuf,
    },
    /// Start the persistent stack, or restart its dead processes.
    Up {
        /// Server to start besides PostgreSQL, RabbitMQ and the S3 store.
        #[arg(long)]
        with: Option<OptionalServer>,
    },
    /// End the persistent stack and remove its files.
    Down,
    /// Show the persistent stack's processes and addresses.
    Status,
    /// Write a program's output in the kubelet's log format (internal).
    ///
    /// It reads the program's standard output from standard input, and the program's standard error from standard output.
    #[command(hide = true)]
    LogWriter {
        /// Log folder of the container.
        #[arg(long)]
        directory: PathBuf,
        /// Named pipe with more standard output.
        #[arg(long)]
        stdout_fifo: Vec<PathBuf>,
        /// Named pipe with more standard error.
        #[arg(long)]
        stderr_fifo: Vec<PathBuf>,
        /// Size at which a file is rotated, in bytes.
        #[arg(long, default_value_t = Limits::default().bytes)]
        bytes: u64,
        /// Number of files to keep.
        #[arg(long, default_value_t = Limits::default().files)]
        files: usize,
    },
    /// Serve the list of pods to Fluentd, like the Kubernetes API server (internal).
    #[command(hide = true)]
    Metadata {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// File with the list of pods.
        #[arg(long)]
        pods: PathBuf,
    },
    /// Serve S3 from a directory (internal).
    #[command(hide = true)]
    S3Server {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// Directory with the objects.
        #[arg(long)]
        root: PathBuf,
        /// Access key.
        #[arg(long, env = "OBJECT_STORE_ACCESS_KEY_ID", hide_env_values = true)]
        access_key: String,
        /// Secret key.
        #[arg(long, env = "OBJECT_STORE_SECRET_ACCESS_KEY", hide_env_values = true)]
        secret_key: String,
    },
}

/// A server that starts only on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OptionalServer {
    /// Log store; `LOGQ_OPENSEARCH_URL` names an external one.
    Opensearch,
}

impl Cli {
    /// Runs the command.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            LocalCommand::Exec { with, command } => exec::run(&command, with.is_some()).await,
            LocalCommand::Demo { photos } => demo::run(&photos).await,
            LocalCommand::Up { with } => stack::up(with.is_some()).await,
            LocalCommand::Down => stack::down(),
            LocalCommand::Status => stack::status(),
            LocalCommand::LogWriter {
                directory,
                stdout_fifo,
                stderr_fifo,
                bytes,
                files,
            } => {
                let fifos = |paths: Vec<PathBuf>, stream| paths.into_iter().map(move |path| (stream, path));
                let fifos: Vec<_> = fifos(stdout_fifo, Stream::Stdout)
                    .chain(fifos(stderr_fifo, Stream::Stderr))
                    .collect();
                local::write_container_log(&directory, Limits { bytes, files }, &fifos)?;
                Ok(ExitCode::SUCCESS)
            }
            LocalCommand::Metadata { listen, pods } => {
                local::metadata::serve(listen, &pods).await?;
                Ok(ExitCode::SUCCESS)
            }
            LocalCommand::S3Server {
                listen,
                root,
                access_key,
                secret_key,
            } => {
                local::serve_s3(listen, &root, &access_key, &secret_key).await?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

//! The commands.

mod demo;
mod exec;
mod lasting;

use std::ffi::OsString;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand, ValueEnum};
use local::log_writer::{self, Limits, Stream};

/// The exit code when the stack itself, not a command in it, failed.
pub const FAILED: u8 = 70;

/// Real servers for tests, demonstration and benchmarks, as plain processes.
#[derive(Debug, Parser)]
#[command(name = "local", version)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a command with a stack of its own; the stack ends with the command, whose exit code is passed on.
    ///
    /// Servers that the environment names (POSTGRES_HOST, RABBITMQ_HOST, OBJECT_STORE_ENDPOINT, with their credentials) are used
    /// instead of started ones.
    ///
    /// OpenSearch takes half a minute to start, so it is there only if asked for, and nobody waits for it but who uses it.
    Exec {
        /// Another server beside PostgreSQL, RabbitMQ and the S3 store.
        #[arg(long)]
        with: Option<Beside>,
        /// The command and its arguments.
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<OsString>,
    },
    /// Anonymise the photos of a folder on the lasting stack, which is started where needed and left running.
    Demo {
        /// Folder with photos.
        photos: PathBuf,
    },
    /// Start the lasting stack's servers, or what of them has died.
    Up {
        /// Another server beside PostgreSQL, RabbitMQ and the S3 store.
        #[arg(long)]
        with: Option<Beside>,
    },
    /// End the lasting stack: exactly the processes that were started, and its files.
    Down,
    /// Show the lasting stack's processes.
    Status,
    /// Write what a program prints as the kubelet keeps it (started by the stack itself; standard input is the program's output,
    /// standard output is read and is its errors).
    #[command(hide = true)]
    LogWriter {
        /// The container's folder.
        #[arg(long)]
        directory: PathBuf,
        /// A pipe with a name that is its output too.
        #[arg(long)]
        stdout_fifo: Vec<PathBuf>,
        /// A pipe with a name that is its errors too.
        #[arg(long)]
        stderr_fifo: Vec<PathBuf>,
        /// Bytes after which a file is renamed.
        #[arg(long, default_value_t = Limits::default().bytes)]
        bytes: u64,
        /// Files that are kept.
        #[arg(long, default_value_t = Limits::default().files)]
        files: usize,
    },
    /// Tell Fluentd of pods in the place of the Kubernetes API server (started by the stack itself).
    #[command(hide = true)]
    Metadata {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// The list of pods.
        #[arg(long)]
        pods: PathBuf,
    },
    /// Serve S3 out of a directory (started by the stack itself; keys from the environment).
    #[command(hide = true)]
    S3Server {
        /// Address to listen on.
        #[arg(long)]
        listen: SocketAddr,
        /// Directory of the objects.
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

/// A server that is started where it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Beside {
    /// The store of the log lines; `LOGQ_OPENSEARCH_URL` names one from outside.
    Opensearch,
}

impl Arguments {
    /// Does what was asked.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Exec { with, command } => exec::run(&command, with.is_some()).await,
            Command::Demo { photos } => demo::run(&photos).await,
            Command::Up { with } => lasting::up(with.is_some()).await,
            Command::Down => lasting::down(),
            Command::Status => lasting::status(),
            Command::LogWriter {
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
                log_writer::run(&directory, Limits { bytes, files }, &fifos)?;
                Ok(ExitCode::SUCCESS)
            }
            Command::Metadata { listen, pods } => {
                local::metadata::serve(listen, &pods).await?;
                Ok(ExitCode::SUCCESS)
            }
            Command::S3Server {
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

/// Tells a person, on standard error.
pub fn complain(message: &dyn std::fmt::Display) {
    // There is nobody left to tell when standard error is closed.
    let _ = writeln!(io::stderr(), "local: {message:#}");
}

/// A line on standard output. A reader that has left wants no more lines.
fn say(line: &dyn std::fmt::Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

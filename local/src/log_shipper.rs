//! Ships the persistent stack's log lines to OpenSearch: with Fluentd and the cluster's configuration, or with
//! `logq import --follow` if Fluentd is not installed. Both write the same documents.

use std::fs;
use std::net::SocketAddr;

use schema::component;

use crate::access::{Access, OpenSearchAccess};
use crate::error::{Context, Error, Result};
use crate::fluentd::{self, FluentdSettings};
use crate::layout::StackLayout;
use crate::ports;
use crate::process::{Daemon, LogDestination, Program};
use crate::project::{local_program, program};

/// The program that ships log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogShipper {
    /// Fluentd, with `local metadata` in place of the Kubernetes API server.
    Fluentd,
    /// `logq import --follow`.
    Logq,
}

impl LogShipper {
    /// Fluentd if it is installed, else `logq`.
    pub(crate) fn installed() -> Self {
        if fluentd::executable().is_some() {
            Self::Fluentd
        } else {
            Self::Logq
        }
    }

    /// Its processes in the order of their start. None is started yet.
    pub(crate) fn daemons(
        self,
        layout: StackLayout<'_>,
        opensearch: &OpenSearchAccess,
    ) -> Result<Vec<Daemon>> {
        let (_, node) = layout
            .persistent
            .ok_or_else(|| Error::request("cannot ship log lines", "the stack is not persistent"))?;
        let programs = match self {
            Self::Fluentd => {
                let executable = fluentd::executable()
                    .ok_or_else(|| Error::request("cannot start Fluentd", "it is not installed"))?;
                let state = layout.directory.join("fluentd");
                fs::create_dir_all(&state).context(|| format!("cannot create {}", state.display()))?;
                let api = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
                let output = LogDestination::File(layout.directory.join("metadata.out"));
                let metadata = Program {
                    arguments: vec![
                        "metadata".into(),
                        "--listen".into(),
                        api.to_string(),
                        "--pods".into(),
                        node.pod_list().display().to_string(),
                    ],
                    ..Program::new(
                        "metadata server",
                        local_program()?,
                        layout.directory,
                        output,
                        layout.lifetime("KILL"),
                    )
                };
                // As in a cluster, Fluentd does not read its own log. A line about a rejected line would be rejected too.
                let fluentd_log = node
                    .pods_directory()
                    .join("*_fluentd-*_*/fluentd/*")
                    .display()
                    .to_string();
                let settings = FluentdSettings {
                    pods: &node.pods_directory(),
                    exclude: &[fluentd_log],
                    state: &state,
                    api,
                    opensearch,
                    metrics: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
                };
                let output = layout.output(component::FLUENTD, "fluentd.out")?;
                let mut fluentd = fluentd::program(executable, &settings, output, layout.lifetime("KILL"))?;
                fluentd.environment.extend(node.environment(component::FLUENTD)?);
                vec![metadata, fluentd]
            }
            Self::Logq => {
                let mut environment = node.environment(component::LOGQ)?;
                opensearch.write(&mut environment);
                let output = layout.output(component::LOGQ, "logq.out")?;
                vec![Program {
                    arguments: vec![
                        "import".into(),
                        "--follow".into(),
                        "--positions".into(),
                        layout.directory.join("import.positions").display().to_string(),
                        node.pods_directory().display().to_string(),
                    ],
                    environment,
                    ..Program::new(
                        "logq import",
                        program("logq")?,
                        layout.directory,
                        output,
                        layout.lifetime("KILL"),
                    )
                }]
            }
        };
        Ok(programs.into_iter().map(Daemon::new).collect())
    }
}

//! What brings the lasting stack's lines to its OpenSearch: Fluentd, with the configuration that a cluster uses, where it is on
//! this machine; else `logq import --follow`, which makes the same documents of them.

use std::fs;
use std::net::SocketAddr;

use schema::component;

use crate::access::{Environment, OpenSearchAccess};
use crate::error::{Context, Error, Result};
use crate::fluentd::{self, Settings};
use crate::ports;
use crate::process::{Daemon, Output, Program, local, program};
use crate::site::Site;

/// What brings the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carrier {
    /// Fluentd, with what tells it of pods in the place of the API server.
    Fluentd,
    /// `logq import --follow`.
    Logq,
}

impl Carrier {
    /// What this machine has.
    pub(crate) fn of_this_machine() -> Self {
        if fluentd::executable().is_some() {
            Self::Fluentd
        } else {
            Self::Logq
        }
    }

    /// Its processes, in the order of their start; none is started yet.
    pub(crate) fn daemons(self, site: Site<'_>, opensearch: &OpenSearchAccess) -> Result<Vec<Daemon>> {
        let (_, node) = site
            .lasting
            .ok_or_else(|| Error::request("lines are carried", "only the lasting stack is a node"))?;
        let programs = match self {
            Self::Fluentd => {
                let executable = fluentd::executable()
                    .ok_or_else(|| Error::request("Fluentd is started", "there is none"))?;
                let state = site.directory.join("fluentd");
                fs::create_dir_all(&state).context(|| format!("cannot create {}", state.display()))?;
                let api = SocketAddr::from(([127, 0, 0, 1], ports::free()?));
                let metadata = Program {
                    name: "metadata server".into(),
                    executable: local()?,
                    arguments: vec![
                        "metadata".into(),
                        "--listen".into(),
                        api.to_string(),
                        "--pods".into(),
                        node.list().display().to_string(),
                    ],
                    environment: Environment::new(),
                    directory: site.directory.into(),
                    output: Output::File(site.directory.join("metadata.out")),
                    account: None,
                    lifetime: site.lifetime("KILL"),
                    sources: Vec::new(),
                };
                // Its own lines stay out, as in a cluster: one about a line that was refused would be refused in its turn.
                let own = node.pods().join("*_fluentd-*_*/fluentd/*").display().to_string();
                let settings = Settings {
                    pods: &node.pods(),
                    exclude: &[own],
                    state: &state,
                    api,
                    opensearch,
                    metrics: SocketAddr::from(([127, 0, 0, 1], ports::free()?)),
                };
                let output = site.output(component::FLUENTD, "fluentd.out")?;
                let mut fluentd = fluentd::program(executable, &settings, output, site.lifetime("KILL"));
                fluentd.environment.extend(node.environment(component::FLUENTD)?);
                vec![metadata, fluentd]
            }
            Self::Logq => {
                let mut environment = node.environment(component::LOGQ)?;
                opensearch.write(&mut environment);
                vec![Program {
                    name: "logq import".into(),
                    executable: program("logq")?,
                    arguments: vec![
                        "import".into(),
                        "--follow".into(),
                        "--positions".into(),
                        site.directory.join("import.positions").display().to_string(),
                        node.pods().display().to_string(),
                    ],
                    environment,
                    directory: site.directory.into(),
                    output: site.output(component::LOGQ, "logq.out")?,
                    account: None,
                    lifetime: site.lifetime("KILL"),
                    sources: Vec::new(),
                }]
            }
        };
        Ok(programs.into_iter().map(Daemon::new).collect())
    }
}

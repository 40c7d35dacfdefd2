//! Which cluster: a context of the kubeconfig, or the cluster of the pod in which logq runs.

use std::{
    env,
    io::{self, IsTerminal},
    path::PathBuf,
};

use clap::Args;
use kube_client::config::{Config, ExecInteractiveMode, KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::Error;

#[derive(Args, Clone, Debug, Default)]
pub struct ClusterOptions {
    /// Context of the kubeconfig [default: the current context]
    #[arg(id = "kube-context", long = "kube-context", value_name = "NAME")]
    pub context: Option<String>,
    /// Kubeconfig [default: KUBECONFIG or ~/.kube/config]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
}

impl ClusterOptions {
    /// The name of the context; None without one, for example in a pod.
    #[must_use]
    pub fn context_name(&self) -> Option<String> {
        let current = || self.read().ok().flatten()?.current_context;
        self.context.clone().or_else(current)
    }

    /// The client's configuration.
    pub(super) async fn load(&self) -> Result<Config, Error> {
        let Some(kubeconfig) = self.read()? else {
            let searched: Vec<String> = default_paths()
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            let searched = searched.join(", ");
            return Config::incluster().map_err(|_| Error::NoKubeconfig { searched });
        };
        let contexts: Vec<&str> = kubeconfig.contexts.iter().map(|context| &*context.name).collect();
        let contexts = format!("it has: {}", contexts.join(", "));
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let mut config = match Config::from_custom_kubeconfig(kubeconfig, &options).await {
            Ok(config) => config,
            Err(KubeconfigError::CurrentContextNotSet) => {
                let reason = format!("it has no current context; {contexts}");
                return Config::incluster().map_err(|_| Error::Kubeconfig { reason });
            }
            Err(KubeconfigError::LoadContext(name)) => {
                let reason = format!("it has no context {name}; {contexts}");
                return Err(Error::Kubeconfig { reason });
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(plugin) = &mut config.auth_info.exec
            && plugin.interactive_mode != Some(ExecInteractiveMode::Always)
            && !io::stdin().is_terminal()
        {
            // Without a terminal no question can be answered, so capture the plugin's error messages.
            plugin.interactive_mode = Some(ExecInteractiveMode::Never);
        }
        Ok(config)
    }

    /// Reads the kubeconfig; None if no file exists.
    fn read(&self) -> Result<Option<Kubeconfig>, Error> {
        if let Some(path) = &self.kubeconfig {
            return Ok(Some(Kubeconfig::read_from(path)?));
        }
        // kubectl skips missing files, too.
        let mut files = default_paths().into_iter().filter(|path| path.exists());
        let Some(first) = files.next() else {
            return Ok(None);
        };
        let merged = files.try_fold(Kubeconfig::read_from(first)?, |merged, next| {
            merged.merge(Kubeconfig::read_from(next)?)
        });
        Ok(Some(merged?))
    }
}

/// The files in KUBECONFIG, or ~/.kube/config.
fn default_paths() -> Vec<PathBuf> {
    let variable = env::var_os("KUBECONFIG").unwrap_or_default();
    let paths: Vec<PathBuf> = env::split_paths(&variable)
        .filter(|path| !path.as_os_str().is_empty())
        .collect();
    if !paths.is_empty() {
        return paths;
    }
    let home = env::home_dir().unwrap_or_default();
    vec![home.join(".kube/config")]
}

impl From<KubeconfigError> for Error {
    fn from(error: KubeconfigError) -> Self {
        let reason = match error {
            KubeconfigError::ReadConfig(error, path) => format!("cannot read {}: {error}", path.display()),
            error => error.to_string(),
        };
        Self::Kubeconfig { reason }
    }
}

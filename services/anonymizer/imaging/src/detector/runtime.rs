//! ONNX Runtime: the library, and a pool of sessions.

use std::{
    path::Path,
    sync::{Mutex, OnceLock, PoisonError},
};

use ort::{
    environment::Environment,
    ep,
    logging::LogLevel,
    session::{
        Session,
        builder::{GraphOptimizationLevel, PrepackedWeights, SessionBuilder},
    },
};

use super::DetectorError;

/// One session of each network, used by one photo at a time.
pub(super) struct Networks {
    pub nanodet: Session,
    pub centerface: Session,
}

/// Sessions for the photos in work. A session is created when all others are in use, and reused afterwards. Threads
/// cannot share a session, but they share its prepared weights.
pub(super) struct SessionPool {
    environment: Environment,
    weights: [Weights; 2],
    idle: Mutex<Vec<Networks>>,
}

/// An ONNX file.
#[derive(Clone, Copy)]
pub(super) struct ModelFile {
    pub name: &'static str,
    pub bytes: &'static [u8],
}

struct Weights {
    file: ModelFile,
    prepacked: PrepackedWeights,
}

impl SessionPool {
    /// Loads the library and creates the first sessions, so that their errors appear at once.
    pub fn new(library: &Path, files: [ModelFile; 2]) -> Result<Self, DetectorError> {
        let pool = Self {
            environment: environment(library)?,
            weights: files.map(|file| Weights {
                file,
                prepacked: PrepackedWeights::new(),
            }),
            idle: Mutex::default(),
        };
        let first = pool.create()?;
        pool.return_networks(first);
        Ok(pool)
    }

    /// Runs `work` with the sessions of both networks.
    pub fn with_networks<T>(
        &self,
        work: impl FnOnce(&mut Networks) -> Result<T, DetectorError>,
    ) -> Result<T, DetectorError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut networks = match idle {
            Some(networks) => networks,
            None => self.create()?,
        };
        let result = work(&mut networks);
        self.return_networks(networks);
        result
    }

    fn return_networks(&self, networks: Networks) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(networks);
    }

    fn create(&self) -> Result<Networks, DetectorError> {
        let [nanodet, centerface] = &self.weights;
        Ok(Networks {
            nanodet: self.session(nanodet)?,
            centerface: self.session(centerface)?,
        })
    }

    fn session(&self, weights: &Weights) -> Result<Session, DetectorError> {
        let failed = |e: ort::Error| DetectorError::Model {
            name: weights.file.name,
            why: e.to_string(),
        };
        configured(&self.environment, &weights.prepacked)
            .and_then(|mut builder| builder.commit_from_memory(weights.file.bytes))
            .map_err(failed)
    }
}

/// One thread per inference, because several photos at once are faster than several threads per photo. No memory
/// pattern, because the sizes of the inputs vary.
fn configured(environment: &Environment, weights: &PrepackedWeights) -> ort::Result<SessionBuilder> {
    Ok(Session::builder(environment)?
        .with_intra_threads(1)?
        .with_inter_threads(1)?
        .with_optimization_level(GraphOptimizationLevel::Level3)?
        .with_memory_pattern(false)?
        .with_execution_providers([ep::CPU::default().with_arena_allocator(true).build()])?
        .with_log_level(LogLevel::Error)?
        .with_prepacked_weights(weights)?)
}

/// A process has one environment, with the library of the first call.
fn environment(library: &Path) -> Result<Environment, DetectorError> {
    static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();
    ENVIRONMENT
        .get_or_init(|| {
            let builder = ort::init_from(library).map_err(|e| e.to_string())?;
            builder.with_telemetry(false).build().map_err(|e| e.to_string())
        })
        .clone()
        .map_err(|why| DetectorError::Library {
            path: library.to_owned(),
            why,
        })
}

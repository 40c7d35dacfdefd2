//! ONNX Runtime: the library, the sessions, and who may use which.

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

/// Sessions for as many photos as are in work at once. They are made when
/// first needed and then kept; a session's run is not safe to share between
/// threads, but the prepared weights are.
pub(super) struct Pool {
    environment: Environment,
    weights: [Weights; 2],
    idle: Mutex<Vec<Networks>>,
}

/// An ONNX file.
#[derive(Clone, Copy)]
pub(super) struct File {
    /// Name for messages.
    pub name: &'static str,
    pub bytes: &'static [u8],
}

struct Weights {
    file: File,
    prepacked: PrepackedWeights,
}

impl Pool {
    /// Loads the library and makes the first sessions of NanoDet and CenterFace,
    /// so that whatever is wrong with them shows now.
    pub fn new(library: &Path, files: [File; 2]) -> Result<Self, DetectorError> {
        let pool = Self {
            environment: environment(library)?,
            weights: files.map(|file| Weights {
                file,
                prepacked: PrepackedWeights::new(),
            }),
            idle: Mutex::default(),
        };
        let first = pool.create()?;
        pool.give_back(first);
        Ok(pool)
    }

    /// Lends the sessions to `work`.
    pub fn with<T>(
        &self,
        work: impl FnOnce(&mut Networks) -> Result<T, DetectorError>,
    ) -> Result<T, DetectorError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut networks = match idle {
            Some(networks) => networks,
            None => self.create()?,
        };
        let result = work(&mut networks);
        self.give_back(networks);
        result
    }

    fn give_back(&self, networks: Networks) {
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

/// One thread per inference: several photos at once beat several threads per
/// photo. Sizes of inputs vary, so patterns of memory are not planned ahead.
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

/// There is one environment per process; the first caller's library counts.
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

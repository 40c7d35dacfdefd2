//! Errors of any source.

use std::error::Error;

/// Why a source fails, or is incomplete.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct SourceError {
    error: Box<dyn Error + Send + Sync>,
    is_transient: bool,
}

impl SourceError {
    /// `is_transient`: a later attempt can succeed without any change.
    pub fn new(error: impl Error + Send + Sync + 'static, is_transient: bool) -> Self {
        Self {
            error: Box::new(error),
            is_transient,
        }
    }

    #[must_use]
    pub const fn is_transient(&self) -> bool {
        self.is_transient
    }
}

impl From<crate::opensearch::Error> for SourceError {
    fn from(error: crate::opensearch::Error) -> Self {
        let is_transient = error.is_transient();
        Self::new(error, is_transient)
    }
}

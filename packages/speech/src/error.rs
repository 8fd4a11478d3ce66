//! Error type: a kind that decides exit code and retry, and a one-line message with the cause
//! and the next step.

use std::error::Error;
use std::fmt;

/// Class of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechErrorKind {
    /// Invalid request of the caller.
    Usage,
    /// The sound cannot be read.
    Source,
    /// A model, memory or a library is missing or broken on this machine.
    Environment,
    /// An internal error (a bug in Segue).
    Internal,
    /// Cancelled by the caller.
    Cancelled,
}

/// An error of this crate; its message is one line.
#[derive(Debug)]
pub struct SpeechError {
    kind: SpeechErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// Result with a [`SpeechError`].
pub type Result<T> = std::result::Result<T, SpeechError>;

impl SpeechError {
    /// An invalid request of the caller.
    pub fn usage(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Usage, message)
    }

    /// A sound that cannot be read; also for implementors of [`crate::SoundSource`].
    pub fn source(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Source, message)
    }

    /// Something missing or broken on this machine.
    pub fn environment(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Environment, message)
    }

    /// An internal error (a bug in Segue).
    pub fn internal(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Internal, message)
    }

    /// Cancelled by the caller.
    pub fn cancelled() -> SpeechError {
        SpeechError::new(SpeechErrorKind::Cancelled, "transcription was cancelled")
    }

    /// Sets the underlying error.
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> SpeechError {
        self.source = Some(Box::new(source));
        self
    }

    /// The error class.
    pub fn kind(&self) -> SpeechErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later or on another machine: `Environment` errors only.
    pub fn is_retryable(&self) -> bool {
        self.kind == SpeechErrorKind::Environment
    }

    fn new(kind: SpeechErrorKind, message: impl Into<String>) -> SpeechError {
        SpeechError { kind, message: message.into(), source: None }
    }
}

impl fmt::Display for SpeechError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for SpeechError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|e| e.as_ref() as &(dyn Error + 'static))
    }
}

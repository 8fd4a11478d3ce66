//! The one error of this crate: a kind that decides the exit code and the retry, and one
//! line that says the cause and the next step.

use std::error::Error;
use std::fmt;

/// Whose fault it is, which is also who has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpeechErrorKind {
    /// The caller asked for something that cannot be.
    Usage,
    /// The sound cannot be read.
    Source,
    /// A model, memory or a library is missing or broken on this machine.
    Environment,
    /// A promise of this crate does not hold.
    Internal,
    /// The caller cancelled.
    Cancelled,
}

/// What went wrong, in one line.
#[derive(Debug)]
pub struct SpeechError {
    kind: SpeechErrorKind,
    message: String,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// The result of this crate's functions.
pub type Result<T> = std::result::Result<T, SpeechError>;

impl SpeechError {
    /// The caller's mistake.
    pub fn usage(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Usage, message)
    }

    /// A sound that cannot be read; also for implementors of [`crate::SoundSource`].
    pub fn source(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Source, message)
    }

    /// Something this machine lacks.
    pub fn environment(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Environment, message)
    }

    /// Our own mistake.
    pub fn internal(message: impl Into<String>) -> SpeechError {
        SpeechError::new(SpeechErrorKind::Internal, message)
    }

    /// The caller cancelled.
    pub fn cancelled() -> SpeechError {
        SpeechError::new(SpeechErrorKind::Cancelled, "transcription was cancelled")
    }

    /// The same error with the one below it.
    pub fn caused_by(mut self, source: impl Error + Send + Sync + 'static) -> SpeechError {
        self.source = Some(Box::new(source));
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> SpeechErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later: only what the machine lacked can change.
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

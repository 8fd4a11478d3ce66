//! The crate's error type: one line with cause and remedy, and whether the image or the machine caused it.

use std::fmt;

use segue_process::{ProcessError, ProcessErrorKind};

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ImageErrorKind {
    /// The image is damaged, above a limit, or of an unsupported kind.
    Source,
    /// The machine: a program is missing, a disk is full.
    Environment,
    /// An internal error (a bug in Segue).
    Internal,
    /// The caller cancelled the work.
    Cancelled,
}

/// A failure of this crate.
#[derive(Debug, Clone)]
pub struct ImageError {
    kind: ImageErrorKind,
    message: String,
    retryable: bool,
    stderr_tail: Vec<String>,
}

/// The result type of this crate.
pub type Result<T, E = ImageError> = std::result::Result<T, E>;

impl ImageError {
    fn new(kind: ImageErrorKind, message: impl Into<String>) -> ImageError {
        ImageError { kind, message: message.into(), retryable: false, stderr_tail: Vec::new() }
    }

    /// An error of the image.
    pub(crate) fn source(message: impl Into<String>) -> ImageError {
        ImageError::new(ImageErrorKind::Source, message)
    }

    /// An internal error.
    pub(crate) fn internal(message: impl Into<String>) -> ImageError {
        ImageError::new(ImageErrorKind::Internal, message)
    }

    /// A failed file operation.
    pub(crate) fn io(what: impl fmt::Display, error: &std::io::Error) -> ImageError {
        let message = format!("{what}: {error}");
        ImageError { retryable: true, ..ImageError::new(ImageErrorKind::Environment, message) }
    }

    /// A failed child process.
    pub(crate) fn process(error: &ProcessError) -> ImageError {
        let kind = match error.kind() {
            ProcessErrorKind::Input => ImageErrorKind::Source,
            ProcessErrorKind::Environment => ImageErrorKind::Environment,
            ProcessErrorKind::Cancelled => ImageErrorKind::Cancelled,
        };
        ImageError {
            retryable: error.is_retryable(),
            stderr_tail: error.stderr_tail().to_vec(),
            ..ImageError::new(kind, error.to_string())
        }
    }

    /// The same error with another message.
    pub(crate) fn with_message(&self, message: String) -> ImageError {
        ImageError { message, ..self.clone() }
    }

    /// Cause of the failure.
    pub fn kind(&self) -> ImageErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The last lines of the stderr of a child that failed.
    pub fn stderr_tail(&self) -> &[String] {
        &self.stderr_tail
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ImageError {}

//! The crate's error type: a message with a remedy, a kind and the stderr tail.
//!
//! The kind decides the exit code of a program and whether a retry makes sense; the
//! message is one line a user can act on; the tail holds the last lines of ffmpeg's stderr.

use std::fmt;

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaErrorKind {
    /// The caller's request is not valid.
    Usage,
    /// The source is missing, damaged, or not allowed.
    Source,
    /// The machine: a tool is missing, a disk is full, a permission is denied.
    Environment,
    /// An internal error (a bug in Segue).
    Internal,
    /// The caller cancelled the work.
    Cancelled,
}

/// A failure of this crate.
#[derive(Debug, Clone)]
pub struct MediaError {
    kind: MediaErrorKind,
    message: String,
    retryable: bool,
    stderr_tail: Vec<String>,
}

/// The result type of this crate.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

impl MediaError {
    /// An error of `kind` with a one-line message.
    pub fn new(kind: MediaErrorKind, message: impl Into<String>) -> MediaError {
        MediaError { kind, message: message.into(), retryable: false, stderr_tail: Vec::new() }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Usage, message)
    }

    /// A source error.
    pub fn source(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Source, message)
    }

    /// An environment error; retryable unless changed by [`MediaError::retry`].
    pub fn environment(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Environment, message).retry(true)
    }

    /// An internal error.
    pub fn internal(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Internal, message)
    }

    /// The work was cancelled.
    pub fn cancelled() -> MediaError {
        MediaError::new(MediaErrorKind::Cancelled, "cancelled")
    }

    /// A failed file operation; a full disk and missing permissions are named.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> MediaError {
        use std::io::ErrorKind as K;
        let next = match error.kind() {
            K::StorageFull | K::QuotaExceeded => ": the disk is full; free some space and run again",
            K::PermissionDenied => ": permission denied; check the owner and mode of the path",
            K::ReadOnlyFilesystem => ": the file system is read-only",
            _ => "",
        };
        let message = if next.is_empty() { format!("{what}: {error}") } else { format!("{what}{next}") };
        MediaError::environment(message)
    }

    /// The error of this crate that an `io::Error` wraps.
    pub(crate) fn carried(error: &std::io::Error) -> Option<MediaError> {
        error.get_ref()?.downcast_ref::<MediaError>().cloned()
    }

    /// Adds the last lines of the process's stderr.
    #[must_use]
    pub fn with_tail(mut self, tail: Vec<String>) -> MediaError {
        self.stderr_tail = tail;
        self
    }

    /// Sets whether the error is retryable.
    #[must_use]
    pub fn retry(mut self, retryable: bool) -> MediaError {
        self.retryable = retryable;
        self
    }

    /// Prefixes the message with the operation.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> MediaError {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The kind of the failure.
    pub fn kind(&self) -> MediaErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The last lines of the process's stderr, if a process failed.
    pub fn stderr_tail(&self) -> &[String] {
        &self.stderr_tail
    }
}

impl fmt::Display for MediaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for MediaError {}

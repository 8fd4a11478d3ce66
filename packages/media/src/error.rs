//! The crate's one error: what went wrong, whose fault it is, and what to do next.
//!
//! The kind decides the exit code of a program and whether a retry makes sense; the
//! message is one line a user can act on; the tail is what ffmpeg said last.

use std::fmt;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MediaErrorKind {
    /// The caller asked for something that makes no sense.
    Usage,
    /// The source is missing, broken, or not allowed.
    Source,
    /// The machine: a tool is missing, a disk is full, a permission is denied.
    Environment,
    /// A broken promise of our own.
    Internal,
    /// Somebody asked us to stop.
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

/// The result of everything here that can fail.
pub type Result<T, E = MediaError> = std::result::Result<T, E>;

impl MediaError {
    /// An error of `kind` with one clear line.
    pub fn new(kind: MediaErrorKind, message: impl Into<String>) -> MediaError {
        MediaError { kind, message: message.into(), retryable: false, stderr_tail: Vec::new() }
    }

    /// A usage error.
    pub fn usage(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Usage, message)
    }

    /// An error of the source.
    pub fn source(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Source, message)
    }

    /// An error of the environment; these are worth a retry unless said otherwise.
    pub fn environment(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Environment, message).retry(true)
    }

    /// An error of our own.
    pub fn internal(message: impl Into<String>) -> MediaError {
        MediaError::new(MediaErrorKind::Internal, message)
    }

    /// The work was called off.
    pub fn cancelled() -> MediaError {
        MediaError::new(MediaErrorKind::Cancelled, "cancelled")
    }

    /// A failed file operation; running out of space and permissions are named.
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

    /// The error of this crate that an error of a file operation carries.
    pub(crate) fn carried(error: &std::io::Error) -> Option<MediaError> {
        error.get_ref()?.downcast_ref::<MediaError>().cloned()
    }

    /// The same error, with what the process said last.
    #[must_use]
    pub fn with_tail(mut self, tail: Vec<String>) -> MediaError {
        self.stderr_tail = tail;
        self
    }

    /// The same error, worth a retry or not.
    #[must_use]
    pub fn retry(mut self, retryable: bool) -> MediaError {
        self.retryable = retryable;
        self
    }

    /// The same error with what was being done put in front.
    #[must_use]
    pub fn context(mut self, what: impl fmt::Display) -> MediaError {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Whose fault it is.
    pub fn kind(&self) -> MediaErrorKind {
        self.kind
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The last lines of the process's stderr, when a process failed.
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

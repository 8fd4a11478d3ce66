//! The error of a child process: what failed, whether the input or the machine caused it, and
//! the last lines that the child wrote to stderr.

use std::fmt;
use std::io;

/// Cause of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProcessErrorKind {
    /// The program rejected its input, crashed on it, or exceeded a limit set by Segue.
    Input,
    /// The machine: a missing program, a full disk, too little memory, a time limit.
    Environment,
    /// The caller cancelled the work.
    Cancelled,
}

/// A child process that failed.
#[derive(Debug, Clone)]
pub struct ProcessError {
    kind: ProcessErrorKind,
    message: String,
    retryable: bool,
    stderr_tail: Vec<String>,
}

impl ProcessError {
    /// A failure caused by the input. Not worth a retry.
    pub(crate) fn input(message: impl Into<String>) -> ProcessError {
        ProcessError::new(ProcessErrorKind::Input, message, false)
    }

    /// A failure caused by the machine. Worth a retry.
    pub(crate) fn environment(message: impl Into<String>) -> ProcessError {
        ProcessError::new(ProcessErrorKind::Environment, message, true)
    }

    /// A failure caused by the machine that persists until an operator fixes it.
    pub(crate) fn setup(message: impl Into<String>) -> ProcessError {
        ProcessError::new(ProcessErrorKind::Environment, message, false)
    }

    pub(crate) fn cancelled(message: impl Into<String>) -> ProcessError {
        ProcessError::new(ProcessErrorKind::Cancelled, message, false)
    }

    /// A failed system call.
    pub(crate) fn io(what: impl fmt::Display, error: &io::Error) -> ProcessError {
        let next = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                "the disk is full; free some space and run again".to_owned()
            }
            io::ErrorKind::PermissionDenied => {
                "permission denied; check the owner and mode of the path".to_owned()
            }
            _ => error.to_string(),
        };
        ProcessError::environment(format!("{what}: {next}"))
    }

    fn new(kind: ProcessErrorKind, message: impl Into<String>, retryable: bool) -> ProcessError {
        ProcessError { kind, message: message.into(), retryable, stderr_tail: Vec::new() }
    }

    #[must_use]
    pub(crate) fn with_tail(mut self, tail: Vec<String>) -> ProcessError {
        self.stderr_tail = tail;
        self
    }

    /// Cause of the failure.
    pub fn kind(&self) -> ProcessErrorKind {
        self.kind
    }

    /// Whether the same command may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retryable
    }

    /// The last lines of the child's stderr; empty where it did not start.
    pub fn stderr_tail(&self) -> &[String] {
        &self.stderr_tail
    }
}

impl fmt::Display for ProcessError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ProcessError {}

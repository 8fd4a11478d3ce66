//! Errors of adapters, as roles handle them.

use segue_domain::DomainError;

/// Kind of an error; the caller decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// Temporary: throttling, a lost connection, a busy database.
    Transient,
    /// The named object or record does not exist.
    NotFound,
    /// The object has another version than the named one.
    Replaced,
    /// Not allowed: credentials, permissions.
    Denied,
    /// The machine: disk full, folder not writable.
    Environment,
    /// The stored data are not in a format that this build writes.
    Corrupt,
    /// A document of a newer build: left to a newer worker, and never counted as a failure.
    Newer,
    /// The caller violated the contract.
    Misuse,
}

/// An error of an adapter.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// The kind.
    pub kind: PortErrorKind,
    /// One line with the cause, and a remedy where one is known.
    pub message: String,
    /// The source error.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error without a source.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> PortError {
        PortError { kind, message: message.into(), source: None }
    }

    /// An error with `source`; the message ends with the source's own.
    pub fn with(
        kind: PortErrorKind,
        message: impl std::fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> PortError {
        PortError { kind, message: format!("{message}: {source}"), source: Some(Box::new(source)) }
    }

    /// An error of decoding a document: of a newer build, or corrupt.
    pub fn document(doing: impl std::fmt::Display, error: DomainError) -> PortError {
        let kind = match error {
            DomainError::Version { .. } => PortErrorKind::Newer,
            _ => PortErrorKind::Corrupt,
        };
        PortError::with(kind, doing, error)
    }

    /// An I/O error; a full disk and a missing permission have kinds of their own.
    pub fn io(doing: impl std::fmt::Display, error: std::io::Error) -> PortError {
        use std::io::ErrorKind;
        let kind = match error.kind() {
            ErrorKind::NotFound => PortErrorKind::NotFound,
            ErrorKind::PermissionDenied => PortErrorKind::Denied,
            ErrorKind::Interrupted | ErrorKind::TimedOut | ErrorKind::WouldBlock => PortErrorKind::Transient,
            _ => PortErrorKind::Environment,
        };
        PortError::with(kind, doing, error)
    }

    /// An I/O error of a file, with advice; `doing` is the operation, e.g. `cannot write`.
    pub fn file(doing: &str, path: &std::path::Path, error: std::io::Error) -> PortError {
        use std::io::ErrorKind;
        let path = path.display();
        let (kind, advice) = match error.kind() {
            ErrorKind::StorageFull => {
                (PortErrorKind::Environment, "the disk is full, free some space there and run again")
            }
            ErrorKind::QuotaExceeded => {
                (PortErrorKind::Environment, "the disk quota is used up, free some space and run again")
            }
            ErrorKind::ReadOnlyFilesystem => {
                (PortErrorKind::Environment, "the file system is read-only, choose another folder")
            }
            ErrorKind::PermissionDenied => (PortErrorKind::Denied, "check who owns it and its permissions"),
            _ => return PortError::io(format_args!("{doing} {path}"), error),
        };
        PortError::with(kind, format_args!("{doing} {path}: {advice}"), error)
    }

    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.kind == PortErrorKind::Transient
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_place() {
        let full =
            PortError::file("cannot write", Path::new("/state/media"), io::Error::from_raw_os_error(28));
        assert_eq!(full.kind, PortErrorKind::Environment);
        assert!(full.message.contains("/state/media: the disk is full"), "{full}");
        let denied =
            PortError::file("cannot write", Path::new("/state"), io::ErrorKind::PermissionDenied.into());
        assert_eq!(denied.kind, PortErrorKind::Denied, "{denied}");
        assert!(!full.message.contains('\n'));
    }
}

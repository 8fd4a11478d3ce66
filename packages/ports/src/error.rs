//! What can go wrong between a role and an adapter.

use segue_domain::DomainError;

/// What kind of trouble it is; the caller decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PortErrorKind {
    /// May go away by itself: throttling, a lost connection, a busy database.
    Transient,
    /// The thing that was named is not there.
    NotFound,
    /// The object is another version than the one that was named.
    Replaced,
    /// Not allowed: credentials, permissions.
    Denied,
    /// The machine is in the way: disk full, folder not writable.
    Environment,
    /// The data at the other end is not what this build writes.
    Corrupt,
    /// A document of a newer build: to be left to a newer worker, and never counted as a failure.
    Newer,
    /// The caller broke the contract.
    Misuse,
}

/// An error of an adapter.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct PortError {
    /// What kind.
    pub kind: PortErrorKind,
    /// One line: what was wrong, and what to do where that is known.
    pub message: String,
    /// Where it came from.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl PortError {
    /// An error with no other behind it.
    pub fn new(kind: PortErrorKind, message: impl Into<String>) -> PortError {
        PortError { kind, message: message.into(), source: None }
    }

    /// The same with `source` behind it; the message ends with the source's own.
    pub fn with(
        kind: PortErrorKind,
        message: impl std::fmt::Display,
        source: impl std::error::Error + Send + Sync + 'static,
    ) -> PortError {
        PortError { kind, message: format!("{message}: {source}"), source: Some(Box::new(source)) }
    }

    /// A document of the domain that cannot be read: of a newer build, or corrupt.
    pub fn document(doing: impl std::fmt::Display, error: DomainError) -> PortError {
        let kind = match error {
            DomainError::Version { .. } => PortErrorKind::Newer,
            _ => PortErrorKind::Corrupt,
        };
        PortError::with(kind, doing, error)
    }

    /// An I/O error; a full disk and a missing permission are told apart.
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

    /// An I/O error of a file, with advice; `doing` is what was tried, e.g. `cannot write`.
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

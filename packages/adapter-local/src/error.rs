//! Errors of the database as errors of a port: one line with cause and remedy.

use std::fmt::Display;

use rusqlite::ErrorCode;
use segue_domain::DomainError;
use segue_ports::{PortError, PortErrorKind};

/// An error of the caller or of the stored data, without a source.
pub fn say(kind: PortErrorKind, message: impl Display) -> PortError {
    PortError::new(kind, message.to_string())
}

/// A value in the database that this build never writes.
pub fn odd(what: &str, error: impl Display) -> PortError {
    say(
        PortErrorKind::Corrupt,
        format_args!("the state database holds {what} that cannot be read ({error}); {REMEDY}"),
    )
}

/// A document in the database that this build cannot decode: of a newer build, or corrupt.
pub fn document(what: &str, error: DomainError) -> PortError {
    match error {
        DomainError::Version { .. } => PortError::document(
            format_args!("the state database holds {what} of a newer segue, use that one"),
            error,
        ),
        _ => odd(what, error),
    }
}

/// Remedy for a database that is damaged.
pub const REMEDY: &str = "move segue.db* out of the state folder and run again: the work is done \
                          anew, and the media stay";

/// An error of the database.
pub fn sql(error: rusqlite::Error) -> PortError {
    let code = error.sqlite_error_code();
    let (kind, message) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (PortErrorKind::Transient, "the state database is busy, try again".to_owned())
        }
        Some(ErrorCode::DiskFull) => {
            (PortErrorKind::Environment, "the disk of the state folder is full, free some space".to_owned())
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            (PortErrorKind::Corrupt, format!("the state database is damaged; {REMEDY}"))
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => (
            PortErrorKind::Denied,
            "the state database cannot be opened for writing, check the folder's permissions".to_owned(),
        ),
        Some(ErrorCode::SystemIoFailure | ErrorCode::OutOfMemory) => {
            (PortErrorKind::Environment, "the state database cannot be read or written".to_owned())
        }
        _ => (PortErrorKind::Corrupt, format!("the state database is not as expected; {REMEDY}")),
    };
    PortError::with(kind, message, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_database_and_a_busy_one_are_told_apart() {
        let kind = |code| sql(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)).kind;
        assert_eq!(kind(rusqlite::ffi::SQLITE_FULL), PortErrorKind::Environment);
        assert_eq!(kind(rusqlite::ffi::SQLITE_BUSY), PortErrorKind::Transient);
        assert_eq!(kind(rusqlite::ffi::SQLITE_BUSY_SNAPSHOT), PortErrorKind::Transient);
        assert_eq!(kind(rusqlite::ffi::SQLITE_CORRUPT), PortErrorKind::Corrupt);
        assert_eq!(kind(rusqlite::ffi::SQLITE_READONLY), PortErrorKind::Denied);
    }
}

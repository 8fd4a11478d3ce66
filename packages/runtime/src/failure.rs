//! Failures of commands: the kind, a cause in one line, the exit code.

pub use segue_backends::port;
use segue_domain::{Failure, FaultKind};
use segue_media::{MediaError, MediaErrorKind};
use segue_ports::{EngineError, PortError};

fn failure(kind: FaultKind, cause: impl Into<String>) -> Failure {
    Failure::new(kind, cause)
}

/// The command line, the settings or the recipe are not valid.
pub fn usage(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Usage, cause)
}

/// The source cannot be used.
pub fn source(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Source, cause)
}

/// The machine or a service does not work.
pub fn environment(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Environment, cause)
}

/// An internal error (a bug in Segue).
pub fn internal(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Internal, cause)
}

/// A failed file operation: a failure of the machine.
pub fn io(doing: impl std::fmt::Display, error: &std::io::Error) -> Failure {
    use std::io::ErrorKind;
    let next = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space and run again",
        ErrorKind::PermissionDenied => "; check the owner and the mode of the path",
        ErrorKind::ReadOnlyFilesystem => "; choose a place that can be written to",
        _ => "",
    };
    environment(format!("{doing}: {error}{next}"))
}

/// An error of segue-media as the end of a command.
pub fn media(error: &MediaError) -> Failure {
    let kind = match error.kind() {
        MediaErrorKind::Usage => FaultKind::Usage,
        MediaErrorKind::Source => FaultKind::Source,
        MediaErrorKind::Environment | MediaErrorKind::Cancelled => FaultKind::Environment,
        MediaErrorKind::Internal => FaultKind::Internal,
    };
    Failure { stderr_tail: error.stderr_tail().to_vec(), ..failure(kind, error.to_string()) }
}

/// Converts a role's error into the failure of a run: the error of the adapter or engine behind it
/// determines the kind.
pub fn role(error: &anyhow::Error) -> Failure {
    let cause = format!("{error:#}");
    for behind in error.chain() {
        if let Some(error) = behind.downcast_ref::<PortError>() {
            return Failure { cause, ..port(error) };
        }
        if let Some(error) = behind.downcast_ref::<EngineError>() {
            return Failure { cause, ..error.clone().into_failure(None) };
        }
    }
    internal(cause)
}

/// The exit code of a program that ends with this failure.
pub fn exit_code(kind: FaultKind) -> u8 {
    match kind {
        FaultKind::Usage => 2,
        FaultKind::Source => 3,
        FaultKind::Environment => 4,
        FaultKind::Internal => 5,
    }
}

/// The exit code of a program that was interrupted and can be resumed.
pub const EXIT_INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use segue_ports::PortErrorKind;

    use super::*;

    #[test]
    fn a_role_ends_by_the_fault_of_what_is_behind_it() {
        let full = PortError::new(PortErrorKind::Environment, "disk full");
        let failure = role(&anyhow::Error::new(full).context("recording"));
        assert_eq!((failure.kind, failure.cause.as_str()), (FaultKind::Environment, "recording: disk full"));

        let engine = EngineError::new(FaultKind::Source, "no index");
        assert_eq!(role(&anyhow::Error::new(engine)).kind, FaultKind::Source);
        assert_eq!(role(&anyhow::anyhow!("odd")).kind, FaultKind::Internal);
    }
}

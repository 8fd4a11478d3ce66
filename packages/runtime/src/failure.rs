//! Failures as this crate makes them: whose fault, one line, the exit code.

use segue_domain::{Failure, FaultKind};
use segue_media::{MediaError, MediaErrorKind};
use segue_ports::{EngineError, PortError, PortErrorKind};

fn failure(kind: FaultKind, cause: impl Into<String>) -> Failure {
    Failure { kind, cause: cause.into(), task: None, stderr_tail: Vec::new() }
}

/// The request was wrong.
pub fn usage(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Usage, cause)
}

/// The source was wrong.
pub fn source(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Source, cause)
}

/// The machine was in the way.
pub fn environment(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Environment, cause)
}

/// We were wrong.
pub fn internal(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Internal, cause)
}

/// A failed file operation of ours: always the machine's.
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

/// An adapter's error as the end of a run.
pub fn port(error: &PortError) -> Failure {
    match error.kind {
        PortErrorKind::Transient
        | PortErrorKind::Denied
        | PortErrorKind::Replaced
        | PortErrorKind::Environment => environment(error.to_string()),
        PortErrorKind::NotFound | PortErrorKind::Corrupt | PortErrorKind::Misuse => {
            internal(error.to_string())
        }
    }
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

/// A role's error as the end of a run: the adapter's or the engine's behind it decides
/// whose fault it is.
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

/// The exit code of a program that ends so.
pub fn exit_code(kind: FaultKind) -> u8 {
    match kind {
        FaultKind::Usage => 2,
        FaultKind::Source => 3,
        FaultKind::Environment => 4,
        FaultKind::Internal => 5,
    }
}

/// The exit code of a program that was interrupted and can go on.
pub const EXIT_INTERRUPTED: u8 = 130;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_ends_by_the_fault_of_what_is_behind_it() {
        let full = PortError::new(PortErrorKind::Environment, "disk full");
        let said = role(&anyhow::Error::new(full).context("recording"));
        assert_eq!((said.kind, said.cause.as_str()), (FaultKind::Environment, "recording: disk full"));

        let engine = EngineError::new(FaultKind::Source, "no index");
        assert_eq!(role(&anyhow::Error::new(engine)).kind, FaultKind::Source);
        assert_eq!(role(&anyhow::anyhow!("odd")).kind, FaultKind::Internal);
    }
}

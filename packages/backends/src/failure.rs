//! Errors of adapters as failures of a command.

use segue_domain::{Failure, FaultKind};
use segue_ports::{PortError, PortErrorKind};

fn failure(kind: FaultKind, cause: impl Into<String>) -> Failure {
    Failure { kind, cause: cause.into(), task: None, stderr_tail: Vec::new() }
}

pub(crate) fn usage(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Usage, cause)
}

#[cfg(feature = "aws")]
pub(crate) fn source(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Source, cause)
}

pub(crate) fn internal(cause: impl Into<String>) -> Failure {
    failure(FaultKind::Internal, cause)
}

/// Converts an adapter's error into the failure of a command: an environment failure, or an internal error
/// (a bug in Segue).
pub fn port(error: &PortError) -> Failure {
    let kind = match error.kind {
        PortErrorKind::Transient
        | PortErrorKind::Denied
        | PortErrorKind::Environment
        | PortErrorKind::Newer
        | PortErrorKind::Replaced => FaultKind::Environment,
        PortErrorKind::NotFound | PortErrorKind::Corrupt | PortErrorKind::Misuse => FaultKind::Internal,
    };
    failure(kind, error.to_string())
}

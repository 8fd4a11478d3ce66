//! Conversion of the crates' errors into those of the engine ports.

use segue_domain::{Failure, FaultKind};
use segue_image::{ImageError, ImageErrorKind};
use segue_media::{MediaError, MediaErrorKind};
use segue_ports::EngineError;
use segue_speech::{SpeechError, SpeechErrorKind};

/// From an error of segue-media.
pub fn media(error: MediaError) -> EngineError {
    let kind = match error.kind() {
        MediaErrorKind::Cancelled => return EngineError::cancelled(),
        MediaErrorKind::Usage => FaultKind::Usage,
        MediaErrorKind::Source => FaultKind::Source,
        MediaErrorKind::Environment => FaultKind::Environment,
        MediaErrorKind::Internal => FaultKind::Internal,
    };
    EngineError {
        stderr_tail: error.stderr_tail().to_vec(),
        retryable: error.is_retryable(),
        ..EngineError::new(kind, error.to_string())
    }
}

/// From an error of segue-speech.
pub fn speech(error: SpeechError) -> EngineError {
    let kind = match error.kind() {
        SpeechErrorKind::Cancelled => return EngineError::cancelled(),
        SpeechErrorKind::Usage => FaultKind::Usage,
        SpeechErrorKind::Source => FaultKind::Source,
        SpeechErrorKind::Environment => FaultKind::Environment,
        SpeechErrorKind::Internal => FaultKind::Internal,
    };
    EngineError { retryable: error.is_retryable(), ..EngineError::new(kind, error.to_string()) }
}

/// From an error of segue-image.
pub fn image(error: ImageError) -> EngineError {
    let kind = match error.kind() {
        ImageErrorKind::Cancelled => return EngineError::cancelled(),
        ImageErrorKind::Source => FaultKind::Source,
        ImageErrorKind::Environment => FaultKind::Environment,
        ImageErrorKind::Internal => FaultKind::Internal,
    };
    EngineError {
        stderr_tail: error.stderr_tail().to_vec(),
        retryable: error.is_retryable(),
        ..EngineError::new(kind, error.to_string())
    }
}

/// From a failure of the runtime.
pub fn failure(failure: Failure) -> EngineError {
    EngineError { stderr_tail: failure.stderr_tail, ..EngineError::new(failure.kind, failure.cause) }
}

/// From a failed file operation in a scratch folder.
pub fn io(what: impl std::fmt::Display, error: &std::io::Error) -> EngineError {
    media(MediaError::io(what, error))
}

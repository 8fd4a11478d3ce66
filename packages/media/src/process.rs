//! Runs ffmpeg and ffprobe by [`segue_process`] and maps its errors to this crate's.

use segue_process::{ProcessError, ProcessErrorKind};

use crate::error::{MediaError, MediaErrorKind, Result};

pub use segue_process::{Finished, Heard, Invocation, Limits, Profile};

/// Runs a command to its end and passes every piece of its stdout to `heard`.
///
/// # Errors
/// As [`segue_process::run`]; a failure caused by the input is an error of the source.
pub async fn run(
    call: &Invocation,
    limits: &Limits,
    heard: impl FnMut(&[u8]) -> Heard + Send,
) -> Result<Finished> {
    segue_process::run(call, limits, heard).await.map_err(of_media)
}

/// Runs a command and returns all of its stdout.
///
/// # Errors
/// As [`run`]; more than `max_bytes` is an error of the source.
pub async fn output(call: &Invocation, limits: &Limits, max_bytes: usize) -> Result<Vec<u8>> {
    segue_process::output(call, limits, max_bytes).await.map_err(of_media)
}

fn of_media(error: ProcessError) -> MediaError {
    let kind = match error.kind() {
        ProcessErrorKind::Input => MediaErrorKind::Source,
        ProcessErrorKind::Environment => MediaErrorKind::Environment,
        ProcessErrorKind::Cancelled => MediaErrorKind::Cancelled,
    };
    let tail = error.stderr_tail().to_vec();
    MediaError::new(kind, error.to_string()).retry(error.is_retryable()).with_tail(tail)
}

//! Interprets an exit status and the last lines of stderr: whether the input or the machine caused the
//! failure, and its remedy.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::Signal;

use crate::error::ProcessError;
use crate::invocation::Invocation;
use crate::sandbox::Applied;
use crate::supervise::Limits;

/// Why a child was stopped.
pub(crate) enum Stop {
    /// The caller cancelled the work.
    Cancelled,
    /// It exceeded its time limit.
    TimeLimit,
    /// It exceeded the limit on time without progress.
    Stalled,
    /// Its output could not be read.
    Io(std::io::Error),
}

/// Messages on stderr of failures caused by the machine, with their remedies.
const MACHINE_FAULTS: [(&str, &str); 4] = [
    ("No space left on device", "free some space and run again"),
    ("Disk quota exceeded", "free some space and run again"),
    ("error while loading shared libraries", "allow it more memory, or install the program again"),
    ("Read-only file system", "choose a place that can be written to"),
];

/// Messages of ffmpeg, x264, x265 and C++ programs when an allocation was refused. x264 and x265
/// name the allocation; ffmpeg then only reports that a frame could not be submitted.
const REFUSED_ALLOCATION: [&str; 3] = ["Cannot allocate memory", "malloc of size", "std::bad_alloc"];

/// Refusal of a thread: without memory for its stack, or above the machine's limit, pthread_create fails with
/// EAGAIN.
const REFUSED_THREAD: &str = "pthread_create failed";

fn contains(tail: &[String], words: &str) -> bool {
    tail.iter().any(|line| line.contains(words))
}

fn is_out_of_memory(tail: &[String]) -> bool {
    REFUSED_ALLOCATION.iter().any(|words| contains(tail, words))
}

fn machine_fault(tail: &[String]) -> Option<(&'static str, &'static str)> {
    let fault = MACHINE_FAULTS.into_iter().find(|(words, _)| contains(tail, words));
    let memory = || is_out_of_memory(tail) || contains(tail, REFUSED_THREAD);
    fault
        .or_else(|| memory().then_some((REFUSED_ALLOCATION[0], "use fewer workers or threads and run again")))
}

/// Whether stderr names a failure caused by the machine.
pub(crate) fn has_machine_fault(tail: &[String]) -> bool {
    machine_fault(tail).is_some()
}

/// The limit that the child exceeded, of those that it was started with.
fn exceeded(applied: Applied, status: ExitStatus, tail: &[String]) -> Option<String> {
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    match (signal, applied) {
        (Some(Signal::SIGXFSZ), Applied { file_size: Some(bytes), .. }) => {
            Some(format!("its result is longer than {} MiB, the most that is expected", bytes >> 20))
        }
        (Some(Signal::SIGXCPU), Applied { cpu_seconds: Some(seconds), .. }) => {
            Some(format!("stopped after {seconds} s of processor time"))
        }
        (_, Applied { memory: Some(bytes), .. }) if is_out_of_memory(tail) => Some(format!(
            "needs more memory than the {} MiB that one program may have; the file is too large or damaged \
             (SEGUE_MEMORY_LIMIT sets another limit)",
            bytes >> 20
        )),
        _ => None,
    }
}

/// Whether another process killed the program. A crash is caused by the input: an input that
/// crashes a decoder does so again.
fn was_killed(status: ExitStatus) -> bool {
    let signal = status.signal().and_then(|number| Signal::try_from(number).ok());
    matches!(signal, Some(Signal::SIGKILL | Signal::SIGTERM | Signal::SIGINT | Signal::SIGHUP))
}

/// The error of a child that ended by itself.
pub(crate) fn failure(
    call: &Invocation,
    applied: Applied,
    status: ExitStatus,
    tail: Vec<String>,
) -> ProcessError {
    let what = &call.what;
    let error = match (exceeded(applied, status, &tail), machine_fault(&tail), tail.last()) {
        (Some(limit), ..) => ProcessError::input(format!("{what}: {limit}")),
        (None, Some((cause, next)), _) => ProcessError::environment(format!("{what}: {cause}; {next}")),
        (None, None, _) if was_killed(status) => ProcessError::environment(format!(
            "{what}: killed from outside ({status}); if memory is short, use fewer workers or threads"
        )),
        (None, None, None) => ProcessError::input(format!("{what}: {status}")),
        (None, None, Some(last)) => ProcessError::input(format!("{what}: {last} ({status})")),
    };
    error.with_tail(tail)
}

/// The error of a child that was stopped.
pub(crate) fn stopped(call: &Invocation, limits: &Limits, stop: Stop, tail: Vec<String>) -> ProcessError {
    let what = &call.what;
    let error = match stop {
        Stop::Cancelled => ProcessError::cancelled(format!("{what}: cancelled")),
        Stop::TimeLimit => ProcessError::environment(format!(
            "{what}: stopped at the time limit of {} s; raise the limit or use shorter segments",
            limits.time.as_secs()
        )),
        Stop::Stalled => ProcessError::environment(format!(
            "{what}: stopped after {} s without progress",
            limits.stall.as_secs()
        )),
        Stop::Io(e) => ProcessError::io(what, &e),
    };
    error.with_tail(tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ProcessErrorKind;

    fn of(applied: Applied, raw_status: i32, line: &str) -> ProcessError {
        let call = Invocation::new("test", "ffmpeg", Vec::new());
        failure(&call, applied, ExitStatus::from_raw(raw_status), vec![line.to_owned()])
    }

    #[test]
    fn a_refused_allocation_under_a_limit_is_the_inputs_fault() {
        let limited = Applied { memory: Some(2 << 30), ..Applied::default() };
        for line in
            ["v.mov: Cannot allocate memory", "x264 [error]: malloc of size 9 failed", "std::bad_alloc"]
        {
            let error = of(limited, 256, line);
            assert_eq!(error.kind(), ProcessErrorKind::Input, "{error}");
            assert!(!error.is_retryable() && error.to_string().contains("2048 MiB"), "{error}");
            let error = of(Applied::default(), 256, line);
            assert_eq!(error.kind(), ProcessErrorKind::Environment, "{error}");
            assert!(error.is_retryable() && error.to_string().contains("fewer workers"), "{error}");
        }
        let threads = of(limited, 256, "pthread_create failed: Resource temporarily unavailable");
        assert_eq!(threads.kind(), ProcessErrorKind::Environment, "{threads}");
    }

    #[test]
    fn a_file_that_grows_too_long_is_the_inputs_fault() {
        let limited = Applied { file_size: Some(3 << 20), ..Applied::default() };
        let error = of(limited, nix::libc::SIGXFSZ, "half");
        assert_eq!(error.kind(), ProcessErrorKind::Input);
        assert!(error.to_string().contains("3 MiB"), "{error}");
    }
}

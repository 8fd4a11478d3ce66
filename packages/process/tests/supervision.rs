//! Children end: at their limit, when cancelled, and with all their descendants.

use std::path::Path;
use std::time::{Duration, Instant};

use segue_process::{Heard, Invocation, Limits, ProcessErrorKind, run};
use tokio_util::sync::CancellationToken;

fn sh(line: &str) -> Invocation {
    Invocation::new("test", "sh", vec!["-c".into(), line.into()])
}

fn is_alive(pid_file: &Path) -> bool {
    let pid = std::fs::read_to_string(pid_file).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // a zombie waits for a parent outside this test
    !stat.is_empty() && !stat.contains(") Z ")
}

#[tokio::test]
async fn the_time_limit_ends_the_whole_tree() {
    let dir = tempfile::tempdir().unwrap();
    let pid = dir.path().join("pid");
    let line =
        format!("trap '' INT TERM; sleep 600 & echo $! > {}; while :; do sleep 1; done", pid.display());
    let limits = Limits { time: Duration::from_millis(700), ..Limits::default() };
    let started = Instant::now();
    let error = run(&sh(&line).writing(&pid), &limits, |_| Heard::Progress).await.unwrap_err();
    assert_eq!(error.kind(), ProcessErrorKind::Environment);
    assert!(error.to_string().contains("time limit"), "{error}");
    assert!(error.is_retryable());
    assert!(started.elapsed() < Duration::from_secs(20));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!is_alive(&pid));
}

#[tokio::test]
async fn silence_is_a_stall_and_output_alone_is_not_progress() {
    let limits = Limits { stall: Duration::from_millis(500), ..Limits::default() };
    let line = "while :; do echo hm; sleep 0.1; done";
    let error = run(&sh(line), &limits, |_| Heard::Noise).await.unwrap_err();
    assert!(error.to_string().contains("without progress"), "{error}");
    let mut lines = 0;
    let brief = "for i in 1 2 3 4 5 6 7 8; do echo $i; sleep 0.1; done";
    run(&sh(brief), &limits, |piece| {
        lines += piece.iter().filter(|b| **b == b'\n').count();
        Heard::Progress
    })
    .await
    .unwrap();
    assert_eq!(lines, 8);
}

#[tokio::test]
async fn cancellation_has_an_error_kind_of_its_own() {
    let cancel = CancellationToken::new();
    let limits = Limits { cancel: cancel.clone(), ..Limits::default() };
    let later = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        cancel.cancel();
    };
    let call = sh("sleep 600");
    let (error, ()) = tokio::join!(run(&call, &limits, |_| Heard::Progress), later);
    assert_eq!(error.unwrap_err().kind(), ProcessErrorKind::Cancelled);
}

#[tokio::test]
async fn a_failure_has_the_last_lines_of_stderr_and_names_a_full_disk() {
    let failed =
        async |line: &str| run(&sh(line), &Limits::default(), |_| Heard::Progress).await.unwrap_err();
    let error = failed("for i in $(seq 100); do echo line $i >&2; done; exit 7").await;
    assert_eq!(error.kind(), ProcessErrorKind::Input);
    assert_eq!(error.stderr_tail().last().map(String::as_str), Some("line 100"));
    assert_eq!(error.stderr_tail().len(), 20);
    let full = failed("echo 'x: No space left on device' >&2; exit 1").await;
    assert_eq!(full.kind(), ProcessErrorKind::Environment);
    assert!(full.to_string().contains("No space left"), "{full}");
    for short in [
        "x264 [error]: malloc of size 1327424 failed",
        "pthread_create failed: Resource temporarily unavailable. Try to increase `ulimit -v`",
        "terminate called after throwing an instance of std::bad_alloc",
    ] {
        let error = failed(&format!("echo '{short}' >&2; echo 'Error submitting a frame' >&2; exit 1")).await;
        assert_eq!(error.kind(), ProcessErrorKind::Environment, "{short}: {error}");
        assert!(error.is_retryable() && error.to_string().contains("fewer workers"), "{error}");
    }
    let map = "error while loading shared libraries: libgomp.so.1: failed to map segment from shared object";
    let short = failed(&format!("echo 'ffprobe: {map}' >&2; exit 127")).await;
    assert_eq!(short.kind(), ProcessErrorKind::Environment);
    assert!(short.to_string().contains("allow it more memory"), "{short}");
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_does_not_hold_us() {
    let started = Instant::now();
    run(&sh("sleep 600 & echo done"), &Limits::default(), |_| Heard::Progress).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_program_killed_from_outside_is_not_the_fault_of_its_input() {
    let failed =
        async |line: &str| run(&sh(line), &Limits::default(), |_| Heard::Progress).await.unwrap_err();
    for signal in ["KILL", "TERM", "INT", "HUP"] {
        let error = failed(&format!("echo half >&2; kill -{signal} $$; sleep 600")).await;
        assert_eq!(error.kind(), ProcessErrorKind::Environment, "{signal}: {error}");
        assert!(error.is_retryable(), "{signal}: {error}");
        assert!(error.to_string().contains("killed from outside"), "{signal}: {error}");
    }
    for crash in ["SEGV", "ABRT", "FPE"] {
        let error = failed(&format!("kill -{crash} $$; sleep 600")).await;
        assert_eq!(error.kind(), ProcessErrorKind::Input, "{crash}: {error}");
        assert!(!error.is_retryable(), "{crash}: {error}");
    }
}

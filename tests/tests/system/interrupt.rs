//! Ctrl-C: once stops and keeps completed tasks, twice stops immediately.

use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segue_tests::{Fixture, Sandbox, assert_none_left, assert_same_media, fixture, wait_until};

fn slow(sandbox: &Sandbox, seconds: &str) -> String {
    let body =
        format!("echo $SEGUE_INDEX >> {}\nsleep {seconds}\ncp \"$1\" \"$2\"", sandbox.path("log").display());
    format!("{} {{input}} {{output}}", sandbox.script("slow", &body).display())
}

fn started(sandbox: &Sandbox) -> Vec<String> {
    std::fs::read_to_string(sandbox.path("log")).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn begin(sandbox: &Sandbox, map: &str, parts: usize) -> std::process::Child {
    let args = ["--recipe", "rejoin", "--segment-duration", "2s", "--workers", "1", "--map", map];
    let mut command = sandbox.run(&fixture(Fixture::Long), &args);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the parts are started", || started(sandbox).len() >= parts);
    child
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).unwrap();
}

#[test]
fn once_keeps_what_is_done() {
    for first in [Signal::SIGINT, Signal::SIGTERM] {
        let sandbox = Sandbox::new();
        let map = slow(&sandbox, "0.2");
        let child = begin(&sandbox, &map, 4);
        signal(&child, first);
        let ended = sandbox.end_of(child);
        assert_eq!(ended.code, Some(130), "{first}: {ended:#?}");
        assert!(ended.stderr.contains("same command"), "{first}: {ended:#?}");
        assert_none_left(&sandbox.mark);
        assert!(!sandbox.out().join("final.mp4").exists());
        let before = started(&sandbox);

        let args = ["--recipe", "rejoin", "--segment-duration", "2s", "--workers", "1", "--map", &map];
        sandbox.done(&fixture(Fixture::Long), &args);
        assert_same_media(&fixture(Fixture::Long), &sandbox.joined());
        let again = started(&sandbox).len() - 8;
        assert!(again <= 1, "{first}: {again} segments ran twice; before: {before:?}");
    }
}

#[test]
fn once_does_not_wait_for_a_long_part() {
    let sandbox = Sandbox::new();
    let child = begin(&sandbox, &slow(&sandbox, "300"), 1);
    let started = Instant::now();
    signal(&child, Signal::SIGINT);
    let ended = sandbox.end_of(child);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    assert_none_left(&sandbox.mark);
}

#[test]
fn twice_stops_at_once() {
    let sandbox = Sandbox::new();
    let stubborn = sandbox.script(
        "stubborn",
        &format!(
            "trap '' INT TERM\necho $SEGUE_INDEX >> {}\nsleep 300 & wait; sleep 300",
            sandbox.path("log").display()
        ),
    );
    let child = begin(&sandbox, &format!("{} {{input}} {{output}}", stubborn.display()), 1);
    signal(&child, Signal::SIGINT);
    std::thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    signal(&child, Signal::SIGINT);
    let ended = sandbox.end_of(child);
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_none_left(&sandbox.mark);
}

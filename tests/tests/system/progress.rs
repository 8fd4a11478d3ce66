//! Progress output: JSON events and plain lines.

use std::collections::BTreeMap;

use segue_tests::{Fixture, Sandbox, fixture};
use serde_json::Value;

#[test]
fn events_tell_the_whole_way() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.segue(["run"]);
    command.arg(fixture(Fixture::Long)).arg("--out").arg(sandbox.out());
    command.args(["--recipe", "rejoin", "--segment-duration", "2s", "--progress", "json"]);
    let ended = sandbox.end(&mut command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.stderr, "");
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    let events: Vec<Value> = ended.stdout.lines().map(parse).collect();

    let states: Vec<_> = events.iter().filter(|e| e["event"] == "state").map(|e| &e["state"]).collect();
    assert_eq!(states.last().and_then(|s| s.as_str()), Some("completed"), "{states:?}");
    let finished = events.last().unwrap();
    assert_eq!(finished["event"], "finished", "{finished}");
    assert_eq!(finished["manifest"], sandbox.document("manifest.json"));

    let known = ["state", "output", "stage-started", "stage-advanced", "stage-ended", "warning", "finished"];
    let mut stages = BTreeMap::<String, (u64, u64)>::new();
    for event in &events {
        let name = event["event"].as_str().unwrap_or_default();
        assert!(known.contains(&name), "{event}");
        assert_eq!(event["job"], finished["job"], "{event}");
        let stage = stages.entry(event["stage"].to_string());
        match name {
            "stage-started" => stage.or_default().0 = event["total"].as_u64().expect("a total"),
            "stage-advanced" => stage.or_default().1 += event["done"].as_u64().expect("what was done"),
            _ => {}
        }
    }
    assert!(stages.len() > 2, "{stages:?}");
    for (stage, (total, done)) in stages {
        assert!(done <= total, "{stage}: {done} of {total}");
    }
}

#[test]
fn plain_lines_and_silence() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.segue(["run"]);
    command.arg(fixture(Fixture::H264Closed)).arg("--out").arg(sandbox.out());
    command.args(["--recipe", "rejoin", "--segment-duration", "2s", "--progress", "plain"]);
    let ended = sandbox.end(&mut command);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
    assert!(ended.stdout.contains("final.mp4") && !ended.stdout.contains('\u{1b}'), "{}", ended.stdout);

    let quiet = Sandbox::new().done(&fixture(Fixture::H264Closed), &["--recipe", "rejoin"]);
    assert_eq!((quiet.stdout.as_str(), quiet.stderr.as_str()), ("", ""));
}

#[test]
fn a_failure_is_an_event_too() {
    let sandbox = Sandbox::new();
    let source = sandbox.file("text.mp4", "hello");
    let mut command = sandbox.segue(["run"]);
    command.arg(source).arg("--out").arg(sandbox.out()).args(["--recipe", "rejoin", "--progress", "json"]);
    let ended = sandbox.end(&mut command);
    sandbox.assert_refused(&ended, 3, &["text.mp4"]);
    let last: Value = serde_json::from_str(ended.stdout.lines().last().expect("an event")).unwrap();
    assert_eq!((last["event"].as_str(), last["failure"]["kind"].as_str()), (Some("failed"), Some("source")));
}

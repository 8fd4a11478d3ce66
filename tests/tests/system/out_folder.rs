//! An output folder belongs to one job.

use segue_tests::{Fixture, Sandbox, fixture, sha256, wait_until};

const RECIPE: [&str; 4] = ["--recipe", "rejoin", "--segment-duration", "1s"];

#[test]
fn the_results_of_another_job_are_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.done(&fixture(Fixture::H264Closed), &RECIPE);
    let before = sha256(&sandbox.joined());
    for (source, args) in [
        (fixture(Fixture::H264Open), &RECIPE[..]),
        (fixture(Fixture::H264Closed), &["--recipe", "mp4"]),
        (fixture(Fixture::H264Closed), &["--recipe", "rejoin", "--segment-duration", "3s"]),
    ] {
        let ended = sandbox.end(&mut sandbox.run(&source, args));
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        ended.assert_one_line(&["another job", "--out"]);
        sandbox.assert_published();
        assert_eq!(sha256(&sandbox.joined()), before);
    }
}

#[test]
fn the_same_command_again_does_nothing() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::H264Closed);
    sandbox.done(&source, &RECIPE);
    let changed = |path: &std::path::Path| path.metadata().unwrap().modified().unwrap();
    let before = changed(&sandbox.joined());
    let again = sandbox.done(&source, &RECIPE);
    assert_eq!(changed(&sandbox.joined()), before, "{again:#?}");
}

#[test]
fn files_of_nobody_are_left_alone() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.out()).unwrap();
    std::fs::write(sandbox.out().join("final.mp4"), "mine").unwrap();
    let ended = sandbox.end(&mut sandbox.run(&fixture(Fixture::H264Closed), &RECIPE));
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    ended.assert_one_line(&["final.mp4"]);
    assert_eq!(std::fs::read_to_string(sandbox.out().join("final.mp4")).unwrap(), "mine");
}

#[test]
fn two_at_once_are_refused() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::Long);
    let started = sandbox.path("started");
    let script = sandbox.script("slow", &format!("touch {}; sleep 2; cp \"$1\" \"$2\"", started.display()));
    let map = format!("{} {{input}} {{output}}", script.display());
    let args = ["--recipe", "rejoin", "--segment-duration", "8s", "--map", &map];
    let mut first = sandbox.run(&source, &args);
    first.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let first = first.spawn().unwrap();
    wait_until("the first is at work", || started.exists());
    let second = sandbox.end(&mut sandbox.run(&source, &args));
    assert_eq!(second.code, Some(2), "{second:#?}");
    second.assert_one_line(&["another segue"]);
    let first = sandbox.end_of(first);
    assert_eq!(first.code, Some(0), "{first:#?}");
    sandbox.assert_published();
}

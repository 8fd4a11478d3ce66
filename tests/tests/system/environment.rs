//! Environment errors: ffmpeg missing, too old, broken or hanging; a full disk; invalid names.

use std::path::Path;

use segue_tests::{Ended, Fixture, Sandbox, fixture};

const RECIPE: [&str; 4] = ["--recipe", "rejoin", "--segment-duration", "1s"];

fn with_ffmpeg(sandbox: &Sandbox, ffmpeg: &Path) -> Ended {
    sandbox.end(sandbox.run(&fixture(Fixture::H264Closed), &RECIPE).env("SEGUE_FFMPEG", ffmpeg))
}

#[test]
fn ffmpeg_that_is_not_there() {
    let sandbox = Sandbox::new();
    let ended = with_ffmpeg(&sandbox, Path::new("/nonexistent/ffmpeg"));
    sandbox.assert_refused(&ended, 4, &["/nonexistent/ffmpeg"]);
    let mut command = sandbox.run(&fixture(Fixture::H264Closed), &RECIPE);
    let ended = sandbox.end(command.env("PATH", sandbox.tmp()));
    sandbox.assert_refused(&ended, 4, &["ffmpeg", "install"]);
}

#[test]
fn ffmpeg_that_is_too_old_or_something_else() {
    let sandbox = Sandbox::new();
    let old = sandbox.script("old", "echo 'ffmpeg version 4.2.7 Copyright (c) 2000-2022'");
    sandbox.assert_refused(&with_ffmpeg(&sandbox, &old), 4, &["4.2.7", "5"]);
    let other = sandbox.script("other", "echo 'hello'");
    sandbox.assert_refused(&with_ffmpeg(&sandbox, &other), 4, &["other"]);
    let broken = sandbox.script("broken", "exit 127");
    sandbox.assert_refused(&with_ffmpeg(&sandbox, &broken), 4, &[]);
}

#[test]
fn ffmpeg_that_hangs_at_once() {
    let sandbox = Sandbox::new();
    let hanging = sandbox.script("hanging", "trap '' INT TERM\nsleep 300 &\nwait; sleep 300");
    let ended = with_ffmpeg(&sandbox, &hanging);
    sandbox.assert_refused(&ended, 4, &["hanging"]);
    assert!(ended.took.as_secs() < 60, "{:?}", ended.took);
}

/// A wrapper of ffmpeg that runs `body` instead of any real work.
fn ffmpeg_that(sandbox: &Sandbox, body: &str) -> std::path::PathBuf {
    let body =
        format!("case \"$*\" in *-version*|*-encoders*|*-muxers*|*-h*) exec ffmpeg \"$@\";; esac\n{body}");
    sandbox.script("odd-ffmpeg", &body)
}

#[test]
fn ffmpeg_that_dies_at_work_leaves_its_last_words() {
    let sandbox = Sandbox::new();
    let dying =
        ffmpeg_that(&sandbox, "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do echo word $i >&2; done; kill -9 $$");
    let ended = sandbox
        .end(sandbox.run(&fixture(Fixture::H264Closed), &["--recipe", "mp4"]).env("SEGUE_FFMPEG", dying));
    assert!(matches!(ended.code, Some(3..=5)), "{ended:#?}");
    ended.assert_one_line(&[]);
    sandbox.assert_nothing_published();
    sandbox.assert_nothing_left();
    let status = sandbox.end(sandbox.segue(["status", "--json"]).arg(sandbox.out()));
    let job: serde_json::Value =
        serde_json::from_str(&status.stdout).unwrap_or_else(|e| panic!("{e}: {status:#?}"));
    let tail =
        segue_tests::failure_of(&job["record"])["stderr_tail"].as_array().expect("stderr lines").clone();
    assert_eq!((tail.len(), tail[9].as_str()), (10, Some("word 12")), "{tail:?}");
}

#[test]
fn ffmpeg_that_says_all_is_well_and_did_nothing() {
    let sandbox = Sandbox::new();
    let lying = ffmpeg_that(&sandbox, "exit 0");
    let ended = sandbox
        .end(sandbox.run(&fixture(Fixture::H264Closed), &["--recipe", "mp4"]).env("SEGUE_FFMPEG", lying));
    assert!(matches!(ended.code, Some(3..=5)), "{ended:#?}");
    ended.assert_one_line(&[]);
    sandbox.assert_nothing_published();
    sandbox.assert_nothing_left();
}

#[test]
fn names_that_mean_nothing() {
    let source = fixture(Fixture::H264Closed);
    let sandbox = Sandbox::new();
    let unknown_key = sandbox.file("key.toml", "version = 1\nname = \"x\"\ncolour = 3\n");
    let newer = sandbox.file("newer.toml", "version = 99\nname = \"x\"\n");
    let yaml = sandbox.file("key.yaml", "version: 1\nname: x\nvideo:\n  colour: 1\n");
    let broken = sandbox.file("broken.toml", "version = \n");
    let cases: [(&[&str], &str); 11] = [
        (&["--recipe", "nonsense"], "nonsense"),
        (&["--recipe", unknown_key.to_str().unwrap()], "colour"),
        (&["--recipe", newer.to_str().unwrap()], "99"),
        (&["--recipe", yaml.to_str().unwrap()], "colour"),
        (&["--recipe", broken.to_str().unwrap()], "broken.toml"),
        (&["--recipe", "transcript", "--model", "nonsense"], "nonsense"),
        (&["--recipe", "transcript", "--language", "klingon"], "klingon"),
        (&["--recipe", "rejoin", "--segment-duration", "2parsecs"], "2parsecs"),
        (&["--recipe", "rejoin", "--segment-duration", "0s"], "0s"),
        (&["--recipe", "rejoin", "--workers", "0"], "workers"),
        (&["--recipe", "rejoin", "--threads", "many"], "threads"),
    ];
    for (args, word) in cases {
        let ended = sandbox.end(&mut sandbox.run(&source, args));
        sandbox.assert_refused(&ended, 2, &[word]);
    }
    // clap reports unknown flags and commands, in several lines
    for args in [&["run", "--colour"][..], &["fly"], &["run"]] {
        let ended = sandbox.end(&mut sandbox.segue(args));
        assert_eq!(ended.code, Some(2), "{ended:#?}");
    }
}

#[test]
fn a_known_model_that_is_not_here_is_said_with_the_command_that_fetches_it() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.run(&fixture(Fixture::H264Closed), &["--recipe", "transcript"]);
    let ended = sandbox.end(command.env("SEGUE_MODEL_DIR", sandbox.tmp()));
    sandbox.assert_refused(&ended, 4, &["base.en", "segue models fetch"]);
}

/// Runs a job whose output is on a file system of this size. Root mounts it; other users do so in a
/// user namespace.
fn on_small_disk(sandbox: &Sandbox, kilobytes: u32, source: &Path, args: &str) -> (Ended, String) {
    let disk = sandbox.path("disk");
    std::fs::create_dir(&disk).unwrap();
    let body = format!(
        "set -e\nmount -t tmpfs -o size={kilobytes}k segue-test {disk}\nset +e\n\
         {segue} run {source} --out {disk}/out {args} --progress none\ncode=$?\n\
         cd {disk} && find . -type f > {disk}.left\ncd /\nexit $code",
        disk = disk.display(),
        segue = segue_tests::segue().display(),
        source = source.display(),
    );
    let script = sandbox.script("on-small-disk", &body);
    // in a mount namespace, which ends with its processes
    let mut unshare = sandbox.command("unshare");
    unshare.args(if segue_tests::is_root() {
        &["--mount"][..]
    } else {
        &["--user", "--map-root-user", "--mount"]
    });
    let ended = sandbox.end(unshare.arg(script));
    let left = std::fs::read_to_string(sandbox.path("disk.left")).unwrap_or_else(|_| {
        panic!("a small disk cannot be mounted here, so a full one is not tested: {ended:#?}")
    });
    (ended, left)
}

fn assert_full(sandbox: &Sandbox, ended: &Ended, left: &str) {
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    ended.assert_one_line(&["space"]);
    let results = ["final", "transcript", "thumbnail", "manifest", "certificate"];
    let allowed = ["./out/.segue/job.json", "./out/.segue/lock"];
    for line in left.lines() {
        assert!(allowed.contains(&line), "left on the full disk: {left}");
        assert!(!results.iter().any(|name| line.contains(name)), "{left}");
    }
    sandbox.assert_nothing_left();
}

#[test]
fn a_disk_that_cannot_hold_a_copy_is_seen_before_any_work() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::Long);
    let kilobytes = (source.metadata().unwrap().len() / 2048) as u32;
    let (ended, left) = on_small_disk(&sandbox, kilobytes, &source, "--recipe rejoin");
    assert_full(&sandbox, &ended, &left);
}

#[test]
fn a_disk_that_fills_up_at_work() {
    let sandbox = Sandbox::new();
    let recipe = "version = 1\nname = \"large\"\n[video]\nmode = \"encode\"\nencode = { crf = 0, preset = \"ultrafast\" }\n";
    let recipe = sandbox.file("large.toml", recipe);
    let args = format!("--segment-duration 2s --recipe {}", recipe.display());
    let (ended, left) = on_small_disk(&sandbox, 1_400, &fixture(Fixture::Long), &args);
    assert_full(&sandbox, &ended, &left);
}

#[test]
fn a_machine_without_memory_is_not_the_fault_of_the_source() {
    let sandbox = Sandbox::new();
    for megabytes in [100, 140, 180, 220, 260, 300, 400] {
        let run = sandbox.run(&fixture(Fixture::H264Closed), &RECIPE);
        let mut limited = sandbox.command("sh");
        let line = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes << 10);
        limited.args(["-c", &line]).arg(run.get_program()).args(run.get_args());
        let ended = sandbox.end(&mut limited);
        // the program aborts when its own allocation fails
        let fine = matches!((ended.code, ended.signal), (Some(0 | 4), _) | (None, Some(6)));
        assert!(fine, "{megabytes} MB: {ended:#?}");
        if ended.code == Some(0) {
            break;
        }
    }
}

//! The program from outside: exit codes, and the one line that says what went wrong.
//! Nothing here needs ffmpeg or a model.

use std::path::Path;

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

/// The program in an empty world: no settings, no models, no ffmpeg.
fn segue(dir: &Path) -> Command {
    let mut command = Command::cargo_bin("segue").unwrap();
    command
        .current_dir(dir)
        .env_clear()
        .env("HOME", dir)
        .env("SEGUE_FFMPEG", "/nowhere/ffmpeg")
        .env("SEGUE_FFPROBE", "/nowhere/ffprobe");
    command
}

fn one_line() -> impl Predicate<str> {
    predicate::function(|text: &str| text.lines().count() == 1 && text.starts_with("segue: "))
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_the_exit_code_of_its_fault() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("talk.mp4"), "not empty").unwrap();
    std::fs::write(dir.path().join("empty.mp4"), "").unwrap();
    std::fs::write(dir.path().join("odd.toml"), "version = 1\nname = \"x\"\ncolour = 1\n[video]\n").unwrap();
    std::fs::write(dir.path().join("new.toml"), "version = 99\nname = \"x\"\n[video]\n").unwrap();
    std::fs::create_dir(dir.path().join("folder")).unwrap();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["run", "talk.mp4", "--out", "o", "--recipe", "nix"], 2, "standard, transcript, rejoin, mp4"),
        (&["run", "talk.mp4", "--out", "o", "--recipe", "odd.toml"], 2, "colour"),
        (&["run", "talk.mp4", "--out", "o", "--recipe", "new.toml"], 2, "99"),
        (&["run", "talk.mp4", "--out", "o", "--model", "nix"], 2, "base.en"),
        (&["run", "talk.mp4", "--out", "o", "--language", "English"], 2, "English"),
        (&["run", "talk.mp4", "--out", "o", "--language", "de"], 2, "knows English only"),
        (&["run", "talk.mp4", "--out", "o", "--segment-duration", "0s"], 2, "300s"),
        (&["run", "talk.mp4", "--out", "o", "--workers", "0"], 2, "workers"),
        (&["run", "talk.mp4", "--out", "o", "--progress", "loud"], 2, "plain"),
        (
            &["run", "talk.mp4", "--out", "o", "--state", "postgres://a:b@c/d"],
            2,
            "not compiled into this build",
        ),
        (&["run", "talk.mp4", "--out", "o", "--map", "cat"], 2, "{input}"),
        (&["run", "talk.mp4", "--out", "o", "--recipe", "rejoin", "--model", "tiny"], 2, "--model"),
        (&["run", "talk.mp4", "--out", "talk.mp4"], 2, "there is a file of that name"),
        (&["--config", "none.toml", "run", "talk.mp4", "--out", "o"], 2, "none.toml"),
        (&["dlq", "purge", "--max", "5", "--backend", "none"], 2, "--max is for list and redrive"),
        (&["status"], 2, "no backend is named"),
        (&["models", "fetch", "nix"], 2, "base.en"),
        (&["recipe", "show", "nix"], 2, "standard"),
        (&["status", "folder"], 2, "no job"),
        (&["run", "none.mp4", "--out", "o"], 3, "no such file"),
        (&["run", "folder", "--out", "o"], 3, "folder"),
        (&["run", "empty.mp4", "--out", "o"], 3, "empty"),
        (&["plan", "none.mp4"], 3, "no such file"),
        (&["verify", "talk.mp4", "none.mp4"], 3, "none.mp4"),
        (&["run", "talk.mp4", "--out", "o"], 4, "segue models fetch base.en"),
        (&["models", "verify"], 4, "segue models fetch"),
    ];
    for (args, code, said) in cases {
        segue(dir.path()).args(*args).assert().code(*code).stdout("").stderr(one_line().and(contains(*said)));
        assert!(!dir.path().join("o").exists(), "{args:?} left a folder behind");
    }
}

#[test]
fn a_file_of_settings_and_the_environment_count() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("talk.mp4"), "not empty").unwrap();
    std::fs::write(dir.path().join("segue.toml"), "recipe = \"from-file\"\n").unwrap();
    let run = ["--config", "segue.toml", "run", "talk.mp4", "--out", "o"];
    segue(dir.path()).args(run).assert().code(2).stderr(contains("from-file"));
    let named = |command: &mut Command| command.args(&run[2..]).assert().code(2);
    named(segue(dir.path()).env("SEGUE_CONFIG", "segue.toml")).stderr(contains("from-file"));
    segue(dir.path()).args(run).env("SEGUE_RECIPE", "from-env").assert().code(2).stderr(contains("from-env"));
    segue(dir.path())
        .args(run)
        .env("SEGUE_RECIPE", "from-env")
        .args(["--recipe", "from-flag"])
        .assert()
        .code(2)
        .stderr(contains("from-flag"));
    std::fs::write(dir.path().join("segue.toml"), "reciep = \"x\"\n").unwrap();
    named(&mut segue(dir.path())).stderr(one_line().and(contains("reciep")));
}

#[test]
fn a_settings_file_in_the_current_folder_starts_no_program() {
    let dir = tempfile::tempdir().unwrap();
    let mark = dir.path().join("ran");
    let script = dir.path().join("ffmpeg");
    std::fs::write(&script, format!("#!/bin/sh\ntouch {}\n", mark.display())).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let text = "ffmpeg = \"./ffmpeg\"\nffprobe = \"./ffmpeg\"\n";
    std::fs::write(dir.path().join("segue.toml"), text).unwrap();
    let doctor = |config: &[&str]| {
        let mut command = segue(dir.path());
        // the script writes a file that a sandboxed program cannot
        command.env_remove("SEGUE_FFMPEG").env_remove("SEGUE_FFPROBE").env("SEGUE_SANDBOX", "off");
        command.args(config).arg("doctor").assert()
    };
    doctor(&[]).code(2).stderr(
        one_line().and(contains("segue.toml here names a program; confirm with --config segue.toml")),
    );
    assert!(!mark.exists(), "a program that only lies in the folder ran");
    doctor(&["--config", "segue.toml"]);
    assert!(mark.exists(), "a file that the user names may name a program");

    std::fs::remove_file(&mark).unwrap();
    let own = dir.path().join(".config/segue");
    std::fs::create_dir_all(&own).unwrap();
    std::fs::rename(dir.path().join("segue.toml"), own.join("segue.toml")).unwrap();
    doctor(&[]);
    assert!(mark.exists(), "the user's own file may name a program");
}

#[test]
fn a_map_command_is_for_a_backend_only_where_it_is_allowed() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("talk.mp4"), "not empty").unwrap();
    let submit = ["submit", "talk.mp4", "--backend", "jobs", "--recipe", "rejoin"];
    for map in [["--map", "sox {input} {output}"], ["--map-sound", "sox {input} {output}"]] {
        let refused = segue(dir.path()).args(submit).args(map).assert().code(2);
        refused.stderr(one_line().and(contains("\"sox\"")).and(contains("SEGUE_ALLOW_MAP=any")));
        assert!(!dir.path().join("jobs").exists(), "a job that was refused left a backend");
        segue(dir.path()).args(submit).args(map).args(["--allow-map", "sox"]).assert().code(0);
        std::fs::remove_dir_all(dir.path().join("jobs")).unwrap();
    }
    segue(dir.path()).args(submit).assert().code(0);
    // its own machine, its own command; here it fails for want of ffmpeg only
    let run = ["run", "talk.mp4", "--out", "o", "--recipe", "rejoin", "--map", "sox {input} {output}"];
    segue(dir.path()).args(run).assert().code(4);
    segue(dir.path()).args(run).env("SEGUE_ALLOW_MAP", "none").assert().code(2);
    let recipe = "version = 1\nname = \"m\"\n[video]\n[map]\ncommand = \"sox {input} {output}\"\n";
    std::fs::write(dir.path().join("m.toml"), recipe).unwrap();
    segue(dir.path())
        .args(["worker", "--backend", "jobs", "--recipe", "m.toml"])
        .assert()
        .code(2)
        .stderr(one_line().and(contains("SEGUE_ALLOW_MAP")));
}

#[test]
fn a_folder_with_files_of_somebody_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("talk.mp4"), "not empty").unwrap();
    let out = dir.path().join("o");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("final.mp4"), "mine").unwrap();
    segue(dir.path())
        .args(["run", "talk.mp4", "--out", "o", "--recipe", "rejoin"])
        .assert()
        .code(2)
        .stderr(one_line().and(contains("final.mp4")));
    assert_eq!(std::fs::read_to_string(out.join("final.mp4")).unwrap(), "mine");
    assert!(!out.join(".segue").exists());
}

#[test]
fn doctor_says_what_is_missing_and_how_to_fix_it() {
    let dir = tempfile::tempdir().unwrap();
    let run = segue(dir.path()).args(["doctor", "--json"]).assert().code(4).stderr("");
    let found: serde_json::Value = serde_json::from_slice(&run.get_output().stdout).unwrap();
    assert_eq!(found["able"], false);
    let missing: Vec<_> = found["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["health"] == "missing")
        .map(|check| (check["name"].as_str().unwrap(), check["fix"].as_str().unwrap()))
        .collect();
    assert_eq!(
        missing.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
        ["ffmpeg", "speech model", "voice model"]
    );
    assert_eq!(missing[1].1, "segue models fetch base.en");
}

#[test]
fn logs_are_off_until_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    segue(dir.path()).args(["doctor"]).assert().stderr("");
    segue(dir.path())
        .args(["doctor"])
        .env("SEGUE_LOG", "a=b=c")
        .assert()
        .code(2)
        .stderr(one_line().and(contains("log filter")));
}

#[test]
fn completions_are_made_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        segue(dir.path())
            .args(["completions", shell])
            .assert()
            .success()
            .stdout(contains("segment-duration"));
    }
}

#[test]
fn recipes_are_shown_such_that_they_can_be_read_again() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["standard", "transcript", "rejoin", "mp4"] {
        let shown = segue(dir.path()).args(["recipe", "show", name]).assert().success();
        let text = shown.get_output().stdout.clone();
        assert!(
            String::from_utf8_lossy(&text).starts_with("version = 2\n"),
            "{name} is shown in an old format"
        );
        std::fs::write(dir.path().join("again.toml"), &text).unwrap();
        segue(dir.path()).args(["recipe", "show", "again.toml"]).assert().success().stdout(text);
    }
}

#[test]
fn help_is_what_a_newcomer_reads() {
    let dir = tempfile::tempdir().unwrap();
    for (name, args) in [("segue", vec!["--help"]), ("run", vec!["run", "--help"])] {
        let run = segue(dir.path()).args(args).env("COLUMNS", "100").assert().success();
        insta::assert_snapshot!(name, String::from_utf8_lossy(&run.get_output().stdout));
    }
}

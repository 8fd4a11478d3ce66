//! Certificates: every published job has one, and a damaged result is not published.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use segue_tests::{Digest, Fixture, Sandbox, fixture, wait_until};

#[test]
fn it_counts_every_frame_of_every_segment() {
    for args in [
        &["--recipe", "rejoin"][..],
        &["--recipe", "mp4"],
        &["--recipe", "rejoin", "--map", "cp {input} {output}"],
    ] {
        let sandbox = Sandbox::new();
        let source = fixture(Fixture::Long);
        sandbox.done(&source, &[args, &["--segment-duration", "2s"]].concat());
        let certificate = sandbox.certificate("video");
        let text = certificate.to_string();
        assert_eq!(certificate["plan"], sandbox.output("video")["plan"], "of another plan: {certificate:#}");
        assert!(text.contains("ffmpeg"), "no tool versions: {certificate:#}");
        let segments = certificate["media"]["segments"].as_array().cloned().unwrap_or_default();
        // an encode recipe cuts only at keyframes of the encoder, at most 5 s apart
        let expected = if args.contains(&"mp4") { 2..=8 } else { 8..=8 };
        assert!(expected.contains(&segments.len()), "{certificate:#}");
        let frames: u64 = segments.iter().filter_map(|s| s["frames"].as_u64()).sum();
        assert_eq!(frames, Digest::decode(&source).video[0].times.len() as u64, "{certificate:#}");
    }
}

#[test]
fn every_output_has_one_of_its_own() {
    let sandbox = Sandbox::new();
    let recipe = "version = 2\nname = \"many\"\nsegment_duration = \"2s\"\n\
                  [outputs.video]\nkind = \"video\"\n\
                  [outputs.opus]\nkind = \"video\"\nsound = { codec = \"opus\" }\n\
                  [outputs.thumbnail]\nkind = \"thumbnail\"\n";
    let recipe = sandbox.file("recipe.toml", recipe).display().to_string();
    sandbox.done(&fixture(Fixture::Long), &["--recipe", &recipe]);
    let manifest = sandbox.document("manifest.json");
    let outputs = manifest["outputs"].as_object().unwrap();
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["opus", "thumbnail", "video"]);
    for (output, made) in outputs {
        let certificate = sandbox.certificate(output);
        assert_eq!(certificate["plan"], made["plan"], "{output}: {certificate:#}");
        let named = |file: &&serde_json::Value| file["kind"] == "certificate";
        assert_eq!(made["files"].as_array().unwrap().iter().filter(named).count(), 1, "{made:#}");
        let media = made["files"].as_array().unwrap().iter().find(|file| file["kind"] == "media");
        let proven = &certificate["media"]["result_sha256"];
        assert_eq!(*proven, media.map_or(serde_json::Value::Null, |file| file["sha256"].clone()), "{output}");
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// A recorded part is damaged between two processes: it may be repeated, or the job may fail; a
/// damaged result is never published.
#[test]
fn a_part_that_was_damaged_afterwards_is_not_published() {
    for damage in ["flip", "shorten", "remove", "swap"] {
        let sandbox = Sandbox::new();
        let log = sandbox.path("log");
        let body = format!("echo $SEGUE_INDEX >> {}\nsleep 0.2\ncp \"$1\" \"$2\"", log.display());
        let map = format!("{} {{input}} {{output}}", sandbox.script("slow", &body).display());
        let args = ["--recipe", "rejoin", "--segment-duration", "2s", "--workers", "1", "--map", &map];
        let source = fixture(Fixture::Long);
        let mut command = sandbox.run(&source, &args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let started = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
        wait_until("some parts are done", || started() > 4);
        kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
        child.wait().unwrap();

        let state = sandbox.out().join(".segue");
        let made = |path: &PathBuf| {
            path.to_string_lossy().contains("/work/") && path.to_string_lossy().contains("map-")
        };
        let mut parts: Vec<PathBuf> = files(&state).into_iter().filter(made).collect();
        parts.retain(|path| path.metadata().is_ok_and(|found| found.len() > 2_000));
        parts.sort();
        assert!(parts.len() >= 2, "no parts to damage in {:#?}", files(&state));
        hurt(damage, &parts);

        let ended = sandbox.end(&mut sandbox.run(&source, &args));
        match ended.code {
            Some(0) => {
                sandbox.assert_published();
                segue_tests::assert_same_media(&source, &sandbox.joined());
            }
            _ => {
                println!("{damage}: {}", ended.stderr);
                assert!(matches!(ended.code, Some(3..=5)), "{damage}: {ended:#?}");
                ended.assert_one_line(&[]);
                sandbox.assert_nothing_published();
            }
        }
        sandbox.assert_nothing_left();
    }
}

fn hurt(damage: &str, parts: &[PathBuf]) {
    let mut bytes = std::fs::read(&parts[1]).unwrap();
    let middle = bytes.len() / 2;
    match damage {
        "flip" => bytes[middle..middle + 64].iter_mut().for_each(|byte| *byte ^= 0x55),
        "shorten" => bytes.truncate(middle),
        "swap" => bytes = std::fs::read(&parts[0]).unwrap(),
        _ => return std::fs::remove_file(&parts[1]).unwrap(),
    }
    std::fs::write(&parts[1], bytes).unwrap();
}

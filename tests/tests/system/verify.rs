//! `segue verify` returns 0 for equal and 1 for different media, also if they look alike.

use std::path::{Path, PathBuf};
use std::process::Command;

use segue_tests::{Fixture, Sandbox, fixture};

fn made(sandbox: &Sandbox, source: &Path, name: &str, args: &[&str]) -> PathBuf {
    let out = sandbox.path(name);
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y", "-i"])
        .arg(source)
        .args(args)
        .arg(&out)
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    out
}

#[test]
fn the_same_and_the_different() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::H264Closed));
    let x264 = ["-c:v", "libx264", "-qp", "1", "-preset", "ultrafast", "-c:a", "copy"];
    let cases: &[(&str, &[&str], i32)] = &[
        ("remux.mov", &["-map", "0", "-c", "copy"], 0),
        ("shorter.mp4", &["-map", "0", "-c", "copy", "-t", "5"], 1),
        ("no-sound.mp4", &["-map", "0:v", "-c", "copy"], 1),
        ("no-picture.mp4", &["-map", "0:a", "-c", "copy"], 1),
        ("encoded.mp4", &x264, 1),
        ("late-sound.mp4", &["-map", "0", "-c", "copy", "-bsf:a", "setts=ts=TS+2205"], 1),
        ("other-sound.mp4", &["-map", "0", "-c:v", "copy", "-c:a", "aac", "-b:a", "48k"], 1),
        ("slower.mp4", &["-map", "0", "-c", "copy", "-bsf:v", "setts=ts=TS*1.01"], 1),
    ];
    for (name, args, expected) in cases {
        let joined = made(&sandbox, &source, name, args);
        let ended = sandbox.end(sandbox.segue(["verify"]).arg(&source).arg(&joined));
        assert_eq!(ended.code, Some(*expected), "{name}: {ended:#?}");
        let json = sandbox.end(sandbox.segue(["verify", "--json"]).arg(&source).arg(&joined));
        assert_eq!(json.code, Some(*expected), "{name}: {json:#?}");
        serde_json::from_str::<serde_json::Value>(&json.stdout).expect("--json prints JSON");
    }
    sandbox.assert_nothing_left();
}

#[test]
fn what_cannot_be_read_is_the_sources_fault() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::H264Closed));
    let text = sandbox.file("text.mp4", "not a film");
    for (a, b) in [(&source, &text), (&text, &source), (&source, &sandbox.path("none.mp4"))] {
        let ended = sandbox.end(sandbox.segue(["verify"]).arg(a).arg(b));
        assert_eq!(ended.code, Some(3), "{ended:#?}");
        ended.assert_one_line(&[]);
        sandbox.assert_nothing_left();
    }
}

//! Transcripts: known words of speech, and no words without speech.

use std::path::Path;

use segue_tests::{Fixture, Sandbox, fixture, model_dir, speech};

fn transcribed(sandbox: &Sandbox, source: &Path, args: &[&str]) -> Vec<String> {
    sandbox.done(source, &[&["--recipe", "transcript", "--language", "en"], args].concat());
    let text = std::fs::read_to_string(sandbox.out().join("transcript.txt")).unwrap();
    let plain = |c: char| if c.is_alphabetic() || c == '\'' { c.to_ascii_lowercase() } else { ' ' };
    text.chars().map(plain).collect::<String>().split_whitespace().map(str::to_owned).collect()
}

#[test]
fn known_words_are_heard_in_order_and_in_time() {
    if model_dir().is_none() {
        return;
    }
    let (source, words) = speech();
    for duration in ["1000h", "2s"] {
        let sandbox = Sandbox::new();
        let found = transcribed(&sandbox, &source, &["--segment-duration", duration]);
        for word in words {
            assert!(found.iter().any(|w| w == word), "{word:?} is missing with {duration}: {found:?}");
        }
        let transcript = sandbox.document("transcript.json");
        assert_eq!(
            (transcript["model"].as_str(), transcript["language"].as_str()),
            (Some("base.en"), Some("en"))
        );
        let mut last = 0;
        for word in
            transcript["segments"].as_array().unwrap().iter().flat_map(|s| s["words"].as_array().unwrap())
        {
            let (start, end) = (word["start_ms"].as_i64().unwrap(), word["end_ms"].as_i64().unwrap());
            assert!(start >= last && end >= start && end < 13_000, "{word}");
            let probability = word["probability"].as_f64().unwrap();
            assert!((0.0..=1.0).contains(&probability), "{word}");
            last = start;
        }
        for (name, start) in [("transcript.vtt", "WEBVTT"), ("transcript.srt", "1\n")] {
            let text = std::fs::read_to_string(sandbox.out().join(name)).unwrap();
            assert!(text.starts_with(start) && text.contains("-->"), "{name}: {text}");
        }
    }
}

#[test]
fn nothing_is_heard_where_nobody_speaks() {
    if model_dir().is_none() {
        return;
    }
    for which in [Fixture::Silence, Fixture::Tone, Fixture::Noise] {
        let sandbox = Sandbox::new();
        let words = transcribed(&sandbox, &fixture(which), &["--segment-duration", "7s"]);
        assert!(words.is_empty(), "{which:?}: {words:?}");
        assert_eq!(sandbox.document("transcript.json")["segments"], serde_json::json!([]), "{which:?}");
    }
}

#[test]
fn the_standard_recipe_leaves_everything() {
    if model_dir().is_none() {
        return;
    }
    let sandbox = Sandbox::new();
    let (voice, words) = speech();
    let source = sandbox.path("talk.mp4");
    let made = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=160x120:r=25", "-i"])
        .arg(voice)
        .args([
            "-shortest",
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-pix_fmt",
            "yuv420p",
            "-g",
            "50",
            "-c:a",
            "aac",
        ])
        .arg(&source)
        .status()
        .unwrap();
    assert!(made.success());
    sandbox.done(&source, &["--segment-duration", "4s", "--language", "en"]);
    for name in [
        "transcript.json",
        "transcript.srt",
        "transcript.vtt",
        "transcript.txt",
        "thumbnail.jpg",
        "final.mp4",
    ] {
        assert!(sandbox.out().join(name).metadata().is_ok_and(|found| found.len() > 0), "{name}");
    }
    segue_tests::assert_same_media(&source, &sandbox.joined());
    let streams = segue_tests::streams(&sandbox.joined());
    assert!(streams.iter().any(|s| s["codec_type"] == "subtitle"), "{streams:#?}");
    let text = std::process::Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(sandbox.joined())
        .args(["-map", "0:s:0", "-f", "srt", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&text.stdout).to_lowercase();
    assert!(text.contains(words[words.len() - 1]), "the track does not contain {words:?}: {text}");
}

#[test]
fn no_sound_is_no_transcript_and_is_said() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.run(&fixture(Fixture::PictureOnly), &["--recipe", "transcript"]);
    let ended = sandbox.end(&mut command);
    let code = if model_dir().is_some() { 3 } else { 4 };
    sandbox.assert_refused(&ended, code, &[if code == 3 { "no sound" } else { "model" }]);
}

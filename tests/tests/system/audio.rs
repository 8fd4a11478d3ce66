//! Outputs of kind `audio`: every format, lengths, loudness, tracks, and sources without sound.

use std::path::Path;
use std::process::Command;

use segue_tests::{Fixture, Sandbox, fixture, level_db, streams};

/// Arguments for a recipe with one output `audio` of these settings.
fn recipe(sandbox: &Sandbox, settings: &str) -> Vec<String> {
    let text = format!("version = 2\nname = \"mine\"\n[outputs.audio]\nkind = \"audio\"\n{settings}\n");
    vec!["--recipe".into(), sandbox.file("recipe.toml", text).display().to_string()]
}

fn run(sandbox: &Sandbox, which: Fixture, settings: &str) {
    run_with("ffmpeg", sandbox, which, settings);
}

fn run_with(ffmpeg: &str, sandbox: &Sandbox, which: Fixture, settings: &str) {
    let args = recipe(sandbox, settings);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = sandbox.end(sandbox.run(&fixture(which), &args).env("SEGUE_FFMPEG", ffmpeg));
    assert_eq!(ended.code, Some(0), "{which:?}: {settings}: {ended:#?}");
    sandbox.assert_published();
}

/// Runs ffmpeg on a file; returns its stdout, and its stderr at level `info`.
fn ffmpeg(before: &[&str], path: &Path, after: &[&str]) -> (Vec<u8>, String) {
    let mut command = Command::new("ffmpeg");
    command.args(["-nostdin", "-hide_banner"]).args(before).arg("-i").arg(path).args(after);
    let ended = command.output().expect("ffmpeg starts");
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{}: {stderr}", path.display());
    (ended.stdout, stderr)
}

/// Decoded samples of a mono or mixed-down file.
fn samples(path: &Path, rate: u32) -> Vec<i16> {
    let after = ["-map", "0:a:0", "-f", "s16le", "-ac", "1", "-ar", &rate.to_string(), "-"];
    let (bytes, _) = ffmpeg(&["-v", "error"], path, &after);
    bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
}

/// The integrated loudness by ffmpeg's own meter, LUFS.
fn loudness(path: &Path) -> f64 {
    let (_, report) = ffmpeg(&[], path, &["-map", "0:a:0", "-af", "ebur128", "-f", "null", "-"]);
    let (_, summary) = report.rsplit_once("Integrated loudness:").expect("ebur128 writes a summary");
    let (_, value) = summary.split_once("I:").expect("the summary has a value");
    value.split_whitespace().next().unwrap().parse().expect("a number")
}

/// A digest of the packets of the first audio stream.
fn packets(path: &Path) -> Vec<u8> {
    ffmpeg(&["-v", "error"], path, &["-map", "0:a:0", "-c", "copy", "-f", "hash", "-"]).0
}

#[test]
fn every_format_is_as_long_as_the_sound_and_the_m4a_has_the_source_packets() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::Long, "formats = [\"m4a\", \"mp3\", \"opus\", \"flac\", \"wav16k\", \"flac16k\"]");
    let source = fixture(Fixture::Long);
    for (name, codec, rate, frame) in [
        ("audio.m4a", "aac", 44_100, 1024),
        ("audio.mp3", "mp3", 44_100, 1152),
        ("audio.opus", "opus", 48_000, 960),
        ("audio.flac", "flac", 44_100, 1),
        ("audio-16k.wav", "pcm_s16le", 16_000, 16),
        ("audio-16k.flac", "flac", 16_000, 16),
    ] {
        let path = sandbox.out().join(name);
        let found = streams(&path);
        assert_eq!(found.len(), 1, "{name}: {found:#?}");
        assert_eq!(found[0]["codec_name"], codec, "{name}");
        assert_eq!(found[0]["sample_rate"], rate.to_string(), "{name}");
        assert_eq!(found[0]["channels"], 1, "{name}");
        let (was, is) = (samples(&source, rate).len(), samples(&path, rate).len());
        assert!(was.abs_diff(is) <= frame, "{name}: {is} samples, the source has {was}");
    }
    assert_eq!(packets(&sandbox.out().join("audio.m4a")), packets(&source), "the packets were not copied");
    let (_, told) = ffmpeg(&[], &sandbox.out().join("audio.mp3"), &["-c", "copy", "-f", "null", "-"]);
    assert!(told.contains("192 kb/s"), "{told}");
    let proof = &sandbox.certificate("audio")["audio"];
    assert_eq!(proof["passed"], true, "{proof:#}");
    assert_eq!(proof["files"].as_array().unwrap().len(), 6, "{proof:#}");
    let measured = proof["source_loudness"]["integrated_lufs"].as_f64().unwrap();
    assert!((measured - loudness(&source)).abs() <= 0.2, "{proof:#}");
    assert!(sandbox.notes("audio").contains("LUFS, range"), "{}", sandbox.notes("audio"));
}

#[test]
fn loudness_is_normalised_to_the_standard_and_to_a_number() {
    let cases = [
        (
            Fixture::QuietStereo,
            "normalize = true\nformats = [\"mp3\", \"m4a\", \"flac\", \"opus\", \"wav16k\"]",
            -23.0,
        ),
        (Fixture::QuietStereo, "normalize = -35\nformats = [\"flac\"]", -35.0),
        (Fixture::Long, "normalize = true\nformats = [\"m4a\"]", -23.0),
    ];
    check_loudness("ffmpeg", &cases);
}

/// Normalises with this ffmpeg; a case is a source, settings, and the loudness of every file, LUFS.
pub fn check_loudness(ffmpeg: &str, cases: &[(Fixture, &str, f64)]) {
    for &(which, settings, target) in cases {
        let (sandbox, source) = (Sandbox::new(), fixture(which));
        assert!((loudness(&source) - target).abs() > 1.0, "{which:?} has this loudness already");
        run_with(ffmpeg, &sandbox, which, settings);
        let output = sandbox.output("audio");
        let media = output["files"].as_array().unwrap().iter().filter(|file| file["kind"] == "media");
        for name in media.map(|file| file["name"].as_str().unwrap()) {
            let path = sandbox.out().join(name);
            let found = loudness(&path);
            assert!((found - target).abs() <= 0.5, "{which:?} {name}: {found} LUFS");
            let rate = 8_000;
            let (was, is) = (samples(&source, rate).len(), samples(&path, rate).len());
            assert!(was.abs_diff(is) <= 300, "{which:?} {name}: {is} samples, the source has {was}");
        }
    }
}

/// One gain for the whole length: what was quieter stays quieter by as much.
#[test]
fn normalising_keeps_the_dynamics() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::QuietStereo, "normalize = true\nformats = [\"flac\"]");
    let step = |path: &Path| {
        let all = samples(path, 44_100);
        let power =
            |part: &[i16]| part.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / part.len() as f64;
        let (loud, quiet) = all.split_at(all.len() / 2);
        10.0 * (power(loud) / power(quiet)).log10()
    };
    let (was, is) = (step(&fixture(Fixture::QuietStereo)), step(&sandbox.out().join("audio.flac")));
    assert!((was - is).abs() < 0.1, "{is:.2} dB between the halves, {was:.2} dB in the source");
}

#[test]
fn a_late_sound_stays_in_time_and_a_track_is_chosen_by_number() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::LateSound, "formats = [\"m4a\", \"mp3\"]");
    let mp3 = samples(&sandbox.out().join("audio.mp3"), 8_000);
    assert!(mp3.len().abs_diff(48_000) < 400, "{} samples", mp3.len());
    assert!(mp3[..19_500].iter().all(|s| s.abs() < 100) && mp3[20_500..].iter().any(|s| s.abs() > 3_000));
    let late = streams(&sandbox.out().join("audio.m4a"))[0]["start_time"].as_str().unwrap().to_owned();
    assert!((late.parse::<f64>().unwrap() - 2.5).abs() < 0.03, "{late}");

    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::ManySounds, "formats = [\"flac\"]\ntrack = 2");
    let path = sandbox.out().join("audio.flac");
    let all = samples(&path, 44_100);
    let crossings = all.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count() as f64;
    let tone = crossings * 44_100.0 / all.len() as f64;
    assert!((tone - 900.0).abs() < 5.0, "{tone} Hz");

    let sandbox = Sandbox::new();
    let args = recipe(&sandbox, "track = 3");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let ended = sandbox.end(&mut sandbox.run(&fixture(Fixture::ManySounds), &args));
    sandbox.assert_refused(&ended, 3, &["no audio track 3", "it has 3"]);
}

/// A mix of channels has another loudness than they have.
#[test]
fn surround_sound_is_kept_or_mixed() {
    let sandbox = Sandbox::new();
    // at its default bit rate, Opus drops high frequencies of noise in six channels
    let settings = "normalize = true\nformats = [\"m4a\", \"mp3\", \"opus\", \"flac\", \"wav16k\"]\n\
                    kbps = { opus = 450, m4a = 400 }";
    run(&sandbox, Fixture::Surround, settings);
    for (name, channels) in
        [("audio.m4a", 6), ("audio.mp3", 2), ("audio.opus", 6), ("audio.flac", 6), ("audio-16k.wav", 1)]
    {
        let path = sandbox.out().join(name);
        assert_eq!(streams(&path)[0]["channels"], channels, "{name}");
        let found = loudness(&path);
        assert!((found + 23.0).abs() <= 0.5, "{name}: {found} LUFS");
    }
}

#[test]
fn odd_sources_complete() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::PictureOnly, "formats = [\"mp3\"]");
    let output = sandbox.output("audio");
    assert_eq!(output["files"].as_array().unwrap().len(), 0, "{output:#}");
    assert!(output["reason"].as_str().unwrap().contains("the source has no sound"), "{output:#}");

    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::Silence, "normalize = true\nformats = [\"mp3\", \"m4a\"]");
    assert!(sandbox.notes("audio").contains("silent"), "{}", sandbox.notes("audio"));
    assert!(level_db(&sandbox.out().join("audio.mp3")) < -90.0);

    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::DamagedSound, "");
    let proof = &sandbox.certificate("audio")["audio"];
    assert_eq!((&proof["passed"], &proof["files"][0]["copied"]), (&true.into(), &false.into()), "{proof:#}");
    assert!(sandbox.notes("audio").contains("damaged"), "{}", sandbox.notes("audio"));

    for which in [Fixture::OffsetTs, Fixture::CoverOnly, Fixture::Edited, Fixture::Mpeg2Ps] {
        let sandbox = Sandbox::new();
        run(&sandbox, which, "");
        let (was, is) = (samples(&fixture(which), 8_000).len(), {
            samples(&sandbox.out().join("audio.m4a"), 8_000).len()
        });
        // what comes before the first sample counts
        assert!(is + 400 > was && is < was + 2_000, "{which:?}: {is} samples, the source has {was}");
    }
}

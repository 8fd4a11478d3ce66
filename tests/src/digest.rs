//! Decoded contents of a media file, by ffmpeg: frames with times, samples, stream descriptions.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Tolerance of times.
const TOLERANCE_MS: f64 = 1.0;

/// Hashes of the decoded video and audio streams.
#[derive(Debug, Clone)]
pub struct Digest {
    /// Video streams.
    pub video: Vec<Track>,
    /// Audio streams; a frame is one output of the decoder.
    pub audio: Vec<Track>,
    /// Hash of all samples of each audio stream.
    pub samples: Vec<String>,
}

/// Frames of one stream.
#[derive(Debug, Clone, Default)]
pub struct Track {
    /// Time of each frame, milliseconds.
    pub times: Vec<f64>,
    /// Hash of each frame.
    pub hashes: Vec<String>,
}

impl Digest {
    /// Decodes a file.
    pub fn decode(path: &Path) -> Digest {
        let streams = streams(path);
        let of_type = |kind: &str| {
            let moving = |s: &&Value| s["disposition"]["attached_pic"] != 1;
            streams.iter().filter(|s| s["codec_type"] == kind).filter(moving).count()
        };
        let track = |kind: &str, index: usize| track(path, &format!("0:{kind}:{index}"));
        Digest {
            video: (0..of_type("video")).map(|index| track("V", index)).collect(),
            audio: (0..of_type("audio")).map(|index| track("a", index)).collect(),
            samples: (0..of_type("audio")).map(|index| samples(path, index)).collect(),
        }
    }
}

fn ffmpeg(args: &[&str], path: &Path, more: &[&str]) -> String {
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error"])
        .args(args)
        .arg("-i")
        .arg(path)
        .args(more)
        .output()
        .expect("ffmpeg starts");
    String::from_utf8_lossy(&made.stdout).into_owned()
}

fn track(path: &Path, map: &str) -> Track {
    let mut args = vec!["-map", map, "-copyts", "-fps_mode", "passthrough"];
    // by default ffmpeg rounds frame times to the frame rate
    if map.contains('V') {
        args.extend(["-enc_time_base", "1:90000"]);
    }
    args.extend(["-f", "framemd5", "-"]);
    let frames = ffmpeg(&[], path, &args);
    let mut tick_ms = 0.0;
    let mut track = Track::default();
    for line in frames.lines() {
        if let Some(base) = line.strip_prefix("#tb").and_then(|rest| rest.split(':').nth(1)) {
            let (num, den) = base.trim().split_once('/').expect("a timebase is a fraction");
            tick_ms = 1000.0 * num.parse::<f64>().expect("a number") / den.parse::<f64>().expect("a number");
        } else if !line.starts_with('#') && !line.is_empty() {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            track.times.push(fields[2].parse::<f64>().expect("a time") * tick_ms);
            track.hashes.push(fields[5].to_owned());
        }
    }
    track
}

fn samples(path: &Path, index: usize) -> String {
    ffmpeg(&[], path, &["-map", &format!("0:a:{index}"), "-c:a", "pcm_s16le", "-f", "md5", "-"])
}

/// Peak level of the first audio stream, dBFS.
pub fn level_db(path: &Path) -> f64 {
    let measured = Command::new("ffmpeg")
        .args(["-nostdin", "-hide_banner", "-i"])
        .arg(path)
        .args(["-map", "0:a:0", "-af", "volumedetect", "-f", "null", "-"])
        .output()
        .expect("ffmpeg starts");
    let stderr = String::from_utf8_lossy(&measured.stderr).into_owned();
    let level = stderr.split("max_volume:").nth(1).and_then(|rest| rest.split_whitespace().next());
    level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("no level: {stderr}"))
}

/// The streams as reported by ffprobe.
pub fn streams(path: &Path) -> Vec<Value> {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-show_streams", "-show_chapters", "-of", "json"])
        .arg(path)
        .output()
        .expect("ffprobe starts");
    let probe: Value = serde_json::from_slice(&probed.stdout).unwrap_or_default();
    probe["streams"].as_array().cloned().unwrap_or_default()
}

/// Fails unless both decode to the same frames, times, samples and audio offset.
pub fn assert_same_media(source: &Path, joined: &Path) {
    let (a, b) = (Digest::decode(source), Digest::decode(joined));
    let name = source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    assert!(!a.video.is_empty() || !a.audio.is_empty(), "{name} has nothing to compare");
    assert_eq!(a.video.len(), b.video.len(), "{name}: pictures");
    assert_eq!(a.audio.len(), b.audio.len(), "{name}: sounds");
    assert_eq!(a.samples, b.samples, "{name}: samples");
    for (kind, ours, theirs) in [("picture", &a.video, &b.video), ("sound", &a.audio, &b.audio)] {
        for (index, (x, y)) in ours.iter().zip(theirs).enumerate() {
            assert_same_track(&format!("{name}: {kind} {index}"), x, y, kind == "picture");
        }
    }
    let starts = |digest: &Digest| -> Vec<f64> {
        let all = digest.video.iter().chain(&digest.audio);
        all.filter_map(|track| track.times.first().copied()).collect()
    };
    let (x, y) = (starts(&a), starts(&b));
    for index in 1..x.len().min(y.len()) {
        let off = (y[index] - y[0]) - (x[index] - x[0]);
        assert!(off.abs() <= TOLERANCE_MS, "{name}: stream {index} starts {off:.2} ms off the first");
    }
}

fn assert_same_track(name: &str, a: &Track, b: &Track, hashes: bool) {
    assert!(!a.times.is_empty(), "{name}: nothing decodes");
    assert_eq!(a.times.len(), b.times.len(), "{name}: number of frames");
    if hashes {
        let other = a.hashes.iter().zip(&b.hashes).position(|(x, y)| x != y);
        assert_eq!(other, None, "{name}: first frame that differs");
    }
    for (index, (x, y)) in a.times.iter().zip(&b.times).enumerate() {
        let off = (y - b.times[0]) - (x - a.times[0]);
        assert!(off.abs() <= TOLERANCE_MS, "{name}: frame {index} is {off:.2} ms off");
    }
}

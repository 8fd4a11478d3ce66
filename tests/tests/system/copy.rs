//! The copy recipe: any number of segments gives the same media, with any map command.
//!
//! Results are compared twice: with ffmpeg's decoders in this crate, and with `segue verify`.

use std::path::{Path, PathBuf};
use std::process::Command;

use segue_tests::{Digest, Fixture, Sandbox, assert_same_media, fixture, has_encoder, streams};
use serde_json::Value;

const COPY: &str = "cp {input} {output}";
const REMUX: &str = "ffmpeg -v error -i {input} -map 0 -c copy {output}";

/// Runs the copy recipe with segments of about a second, with and without a map, and compares.
fn check(which: Fixture, parts: u64) {
    let source = fixture(which);
    for map in [None, Some(COPY), Some(REMUX)] {
        let sandbox = Sandbox::new();
        let mut args = vec!["--recipe", "rejoin", "--segment-duration", "1s"];
        args.extend(map.iter().flat_map(|map| ["--map", map]));
        sandbox.done(&source, &args);
        let found = sandbox.output("video")["segments"].as_u64();
        assert!(found >= Some(parts), "{which:?}: {found:?} parts and not {parts}");
        let joined = sandbox.joined();
        // no file container keeps the times of a transport stream, so that one pass of ffmpeg is
        // the reference
        let streamed = which == Fixture::OffsetTs;
        let reference = if streamed { one_pass(&sandbox, &source) } else { source.clone() };
        assert_same_media(&reference, &joined);
        assert_same_descriptions(&source, &joined, map.is_some());
        let verified = sandbox.end(sandbox.segue(["verify"]).arg(&source).arg(&joined));
        assert_eq!(verified.code, Some(0), "{which:?} {map:?}: {verified:#?}");
        sandbox.assert_nothing_left();
    }
}

fn one_pass(sandbox: &Sandbox, source: &Path) -> PathBuf {
    let out = sandbox.path("one-pass.mov");
    let args = ["-map", "0", "-c", "copy"];
    let mut ffmpeg = Command::new("ffmpeg");
    let made = ffmpeg.args(["-nostdin", "-v", "error", "-y", "-i"]).arg(source).args(args).arg(&out);
    assert!(made.status().unwrap().success());
    out
}

/// Compares kinds, codecs, languages, defaults, rotation and covers. A map may get its pictures, and so
/// write them, in a lossless codec instead of the source's.
fn assert_same_descriptions(source: &Path, joined: &Path, mapped: bool) {
    let descriptions = |path: &Path| -> Vec<Value> {
        let of = |s: &Value| {
            let codec = if mapped && s["codec_type"] == "video" { &Value::Null } else { &s["codec_name"] };
            serde_json::json!({
                "kind": s["codec_type"], "codec": codec,
                "language": s["tags"]["language"].as_str().filter(|l| *l != "und"),
                "default": s["disposition"]["default"], "cover": s["disposition"]["attached_pic"],
                "rotation": s["side_data_list"][0]["rotation"], "width": s["width"], "channels": s["channels"],
            })
        };
        streams(path).iter().map(of).collect()
    };
    let (a, b) = (descriptions(source), descriptions(joined));
    assert_eq!(a.len(), b.len(), "streams of {}: {a:#?} {b:#?}", source.display());
    for (mut x, mut y) in a.into_iter().zip(b) {
        if !["mp4", "mkv"].iter().any(|e| source.extension().is_some_and(|own| own == *e)) {
            // AVI, TS and PS have no default flag; the first stream of each kind becomes the default
            x["default"] = Value::Null;
            y["default"] = Value::Null;
        }
        assert_eq!(x, y, "{}", source.display());
    }
}

macro_rules! kept {
    ($($name:ident: $fixture:ident in $parts:literal;)*) => {
        $(#[test]
        fn $name() {
            check(Fixture::$fixture, $parts);
        })*
    };
}

kept! {
    h264_closed_groups: H264Closed in 6;
    h264_open_groups: H264Open in 6;
    vp9_and_opus: Vp9Opus in 5;
    a_clock_that_begins_at_100_s: OffsetTs in 5;
    variable_rate: Vfr in 3;
    rotation: Rotated in 6;
    late_sound: LateSound in 6;
    several_sounds: ManySounds in 6;
    subtitles_and_chapters: Chapters in 6;
    a_cover: Cover in 6;
    avi: Avi in 5;
    a_program_stream: ProgramStream in 1;
    a_tail_of_one_frame: OneFrameTail in 4;
    one_frame: OneFrame in 1;
    pictures_only: PictureOnly in 6;
    fragments: Fragmented in 6;
    an_edit_list: Edited in 4;
}

/// A program stream has timestamps only on some packets, and ffmpeg's copy shifts its late sound. A
/// result that cannot be certified is not published.
#[test]
fn a_program_stream_with_late_sound_is_refused() {
    let sandbox = Sandbox::new();
    let ended = sandbox.end(&mut sandbox.run(&fixture(Fixture::Mpeg2Ps), &["--recipe", "rejoin"]));
    sandbox.assert_refused(&ended, 3, &["certificate", "--recipe mp4"]);
}

#[test]
fn hevc_open_groups() {
    if has_encoder("libx265") {
        check(Fixture::HevcOpen, 6);
    }
}

#[test]
fn sound_only() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::SoundOnly);
    sandbox.done(&source, &["--recipe", "rejoin", "--segment-duration", "1s"]);
    assert_same_media(&source, &sandbox.joined());
}

#[test]
fn chapters_and_titles_survive() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::Chapters);
    sandbox.done(&source, &["--recipe", "rejoin", "--segment-duration", "1s"]);
    let probe = |path: &Path| -> Value {
        let args = ["-v", "error", "-show_chapters", "-show_entries", "format_tags=title", "-of", "json"];
        let probed = Command::new("ffprobe").args(args).arg(path).output().unwrap();
        serde_json::from_slice(&probed.stdout).unwrap()
    };
    let (a, b) = (probe(&source), probe(&sandbox.joined()));
    assert_eq!(a["format"]["tags"]["title"], "A talk");
    assert_eq!(a["format"]["tags"]["title"], b["format"]["tags"]["title"]);
    let chapters = |probed: &Value| -> Vec<(String, String)> {
        let of = |c: &Value| (c["tags"]["title"].to_string(), c["start_time"].to_string());
        probed["chapters"].as_array().unwrap().iter().map(of).collect()
    };
    assert_eq!(chapters(&a).len(), 2);
    assert_eq!(chapters(&a), chapters(&b));
}

#[test]
fn a_map_gets_the_frames_that_its_segment_owns_and_no_other() {
    for which in [Fixture::H264Open, Fixture::Vfr, Fixture::LateSound] {
        let (sandbox, source) = (Sandbox::new(), fixture(which));
        let keep = sandbox.path("parts");
        std::fs::create_dir(&keep).unwrap();
        let script =
            sandbox.script("keep", &format!("cp \"$1\" {}/$SEGUE_INDEX && cp \"$1\" \"$2\"", keep.display()));
        let map = format!("{} {{input}} {{output}}", script.display());
        sandbox.done(&source, &["--recipe", "rejoin", "--segment-duration", "1s", "--map", &map]);
        let whole = &Digest::decode(&source).video[0];
        let mut hashes = Vec::new();
        let parts = std::fs::read_dir(&keep).unwrap().count();
        for index in 0..parts {
            let part = Digest::decode(&keep.join(index.to_string()));
            assert!(part.audio.is_empty(), "{which:?}: a part for the map has sound");
            hashes.extend(part.video[0].hashes.clone());
        }
        assert!(parts > 2, "{which:?}");
        assert_eq!(hashes, whole.hashes, "{which:?}: the parts together are the whole");
    }
}

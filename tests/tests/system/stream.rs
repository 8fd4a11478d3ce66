//! Outputs of kind `stream` and `progressive`: every size is the source, whatever the parts; real players play it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use segue_tests::{Fixture, Sandbox, fixture, model_dir, sha256, speech, streams};
use serde_json::Value;

/// A stream with fragments of 1 s, without a page.
const STREAM: &str =
    "[outputs.stream]\nkind = \"stream\"\npreset = \"ultrafast\"\nfragment = \"1s\"\nplayer = false\n";
const PROGRESSIVE: &str = "[outputs.progressive]\nkind = \"progressive\"\nneeds = [\"stream\"]\n";

fn run(sandbox: &Sandbox, source: &Path, segments: &str, outputs: &str) {
    let text = format!("version = 2\nname = \"mine\"\nsegment_duration = \"{segments}\"\n{outputs}\n");
    let recipe = sandbox.file("recipe.toml", text).display().to_string();
    sandbox.done(source, &["--recipe", &recipe]);
}

fn ffprobe(path: &Path, args: &[&str]) -> String {
    let mut command = Command::new("ffprobe");
    let ended = command.args(["-v", "error"]).args(args).args(["-of", "csv=p=0"]).arg(path).output().unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    // a source may have its own faults, a stream may not
    let is_clean = errors.is_empty() || path.extension().is_none_or(|ext| ext != "m3u8");
    assert!(ended.status.success() && is_clean, "{}: {errors}", path.display());
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// Presentation times of the decoded pictures, microseconds after the start of the file.
fn times(path: &Path, start_us: i64) -> Vec<i64> {
    let found = ffprobe(path, &["-select_streams", "V:0", "-show_entries", "frame=pts_time"]);
    let seconds = found.lines().filter_map(|line| line.trim_end_matches(',').parse::<f64>().ok());
    let mut times: Vec<i64> = seconds.map(|s| (s * 1e6).round() as i64 - start_us).collect();
    times.sort_unstable();
    times
}

fn start_us(path: &Path) -> i64 {
    let text = ffprobe(path, &["-show_entries", "format=start_time"]);
    text.trim().parse::<f64>().map_or(0, |s| (s * 1e6).round() as i64)
}

fn document(sandbox: &Sandbox) -> Value {
    sandbox.document("stream/stream.json")
}

/// Ids of the renditions of a kind.
fn renditions(document: &Value, kind: &str) -> Vec<String> {
    let all = document["stream"]["renditions"].as_array().unwrap();
    all.iter()
        .filter(|rendition| rendition["kind"].get(kind).is_some())
        .map(|rendition| rendition["id"].as_str().unwrap().to_owned())
        .collect()
}

fn size(document: &Value, id: &str) -> (u64, u64) {
    let all = document["stream"]["renditions"].as_array().unwrap();
    let kind = &all.iter().find(|rendition| rendition["id"] == *id).unwrap()["kind"]["picture"];
    (kind["width"].as_u64().unwrap(), kind["height"].as_u64().unwrap())
}

fn playlist(sandbox: &Sandbox, name: &str) -> String {
    std::fs::read_to_string(sandbox.out().join("stream").join(name)).unwrap()
}

/// Every size of the stream has the source's pictures at the source's times.
fn assert_is_source(sandbox: &Sandbox, source: &Path, what: &str) {
    let document = document(sandbox);
    let expected = times(source, start_us(source));
    for id in renditions(&document, "picture") {
        let path = sandbox.out().join(format!("stream/{id}.m3u8"));
        let found = times(&path, 0);
        assert_eq!(found.len(), expected.len(), "{what}: pictures of {id}");
        let off = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).max().unwrap_or(0);
        // the first time of a source is rounded to a tick
        assert!(off <= 1_000, "{what}: {id} is {off} us off: {found:?}, source {expected:?}");
    }
}

#[test]
fn every_size_has_the_pictures_of_the_source_at_their_times() {
    // source, and the size of its largest rendition
    let cases = [
        (Fixture::Vfr, None),
        (Fixture::OffsetTs, None),
        (Fixture::Rotated, None),
        (Fixture::LateSound, None),
        (Fixture::Edited, None),
        (Fixture::OneFrame, None),
        (Fixture::PictureOnly, None),
        (Fixture::Fragmented, None),
        (Fixture::Vp9Opus, None),
        (Fixture::Tiny, Some((16, 16))),
    ];
    for (which, expected) in cases {
        let (sandbox, source) = (Sandbox::new(), fixture(which));
        run(&sandbox, &source, "2s", STREAM);
        assert_is_source(&sandbox, &source, &format!("{which:?}"));
        let document = document(&sandbox);
        let ids = renditions(&document, "picture");
        if let Some(expected) = expected {
            assert_eq!(size(&document, &ids[0]), expected, "{which:?}");
        }
        let has_sound = streams(&source).iter().any(|stream| stream["codec_type"] == "audio");
        assert_eq!(!renditions(&document, "sound").is_empty(), has_sound, "{which:?}");
    }
}

#[test]
fn rotation_is_in_the_pictures_and_pixels_are_square() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::Rotated);
    run(&sandbox, &source, "2s", STREAM);
    let stored = &streams(&source)[0];
    let (width, height) = (stored["width"].as_u64().unwrap(), stored["height"].as_u64().unwrap());
    let id = &renditions(&document(&sandbox), "picture")[0];
    assert_eq!(size(&document(&sandbox), id), (height, width), "upright");

    // 16:9 stored as 64 x 48
    let wide = made(&sandbox, "wide.mp4", "testsrc2=s=64x48:r=25:d=1,setsar=4/3");
    let sandbox = Sandbox::new();
    run(&sandbox, &wide, "2s", STREAM);
    let found = document(&sandbox);
    assert_eq!(size(&found, &renditions(&found, "picture")[0]), (84, 48));
}

/// A video of these filters, with keyframes every 0.5 s.
fn made(sandbox: &Sandbox, name: &str, filters: &str) -> PathBuf {
    let path = sandbox.path(name);
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", filters, "-c:v", "libx264"]);
    let ended = ffmpeg.args(["-preset", "ultrafast", "-g", "12"]).arg(&path).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    path
}

#[test]
fn high_dynamic_range_is_mapped_and_fields_are_joined() {
    let sandbox = Sandbox::new();
    let colours = "format=yuv420p10,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc";
    let bright = made(&sandbox, "hdr.mp4", &format!("testsrc2=s=128x96:r=25:d=1,{colours}"));
    let fields = sandbox.path("fields.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=128x96:r=50:d=1"]);
    ffmpeg.args(["-vf", "interlace,fieldorder=tff", "-flags", "+ilme+ildct", "-c:v", "libx264"]);
    assert!(ffmpeg.arg(&fields).status().unwrap().success());
    for source in [bright, fields] {
        let sandbox = Sandbox::new();
        run(&sandbox, &source, "2s", STREAM);
        assert_is_source(&sandbox, &source, &source.display().to_string());
        let found = streams(&sandbox.out().join("stream/master.m3u8")).remove(0);
        assert_eq!(found["pix_fmt"], "yuv420p", "{found:#}");
        let transfer = found["color_transfer"].as_str().unwrap_or("unknown").to_owned();
        assert!(transfer == "bt709" || transfer == "unknown", "{transfer}");
        assert!(!["tt", "bb", "tb", "bt"].contains(&found["field_order"].as_str().unwrap_or("progressive")));
    }
}

#[test]
fn the_number_of_parts_changes_neither_times_nor_playlists() {
    let source = fixture(Fixture::Long);
    let of = |segments: &str| {
        let sandbox = Sandbox::new();
        run(&sandbox, &source, segments, STREAM);
        assert_is_source(&sandbox, &source, segments);
        let durations = |name: &str| -> Vec<String> {
            let text = playlist(&sandbox, name);
            text.lines()
                .filter(|line| line.starts_with("#EXT") && !line.contains("BYTERANGE"))
                .map(str::to_owned)
                .collect()
        };
        let document = document(&sandbox);
        let names = ["picture", "sound"].map(|kind| renditions(&document, kind)).concat();
        let lines: BTreeMap<String, Vec<String>> =
            names.into_iter().map(|id| (id.clone(), durations(&format!("{id}.m3u8")))).collect();
        (lines, document["plan"]["parts"].as_array().unwrap().len())
    };
    let (few, few_parts) = of("60s");
    let (many, many_parts) = of("1s");
    assert_eq!(few, many);
    assert!(many_parts > few_parts + 3, "{many_parts} and {few_parts} parts");
}

/// The fragments of a playlist: file, offset, bytes and microseconds.
fn fragments(text: &str) -> Vec<(String, u64, u64, u64)> {
    let mut found = Vec::new();
    let (mut us, mut range) = (0, (0, 0));
    for line in text.lines() {
        if let Some(seconds) = line.strip_prefix("#EXTINF:") {
            us = (seconds.trim_end_matches(',').parse::<f64>().unwrap() * 1e6).round() as u64;
        } else if let Some(place) = line.strip_prefix("#EXT-X-BYTERANGE:") {
            let (bytes, offset) = place.split_once('@').unwrap();
            range = (offset.parse().unwrap(), bytes.parse().unwrap());
        } else if !line.starts_with('#') {
            found.push((line.to_owned(), range.0, range.1, us));
        }
    }
    found
}

#[test]
fn playlists_state_the_bytes_that_are_there() {
    let sandbox = Sandbox::new();
    run(&sandbox, &fixture(Fixture::Long), "4s", &format!("{STREAM}{PROGRESSIVE}"));
    let document = document(&sandbox);
    let mut average = BTreeMap::new();
    for id in ["picture", "sound"].map(|kind| renditions(&document, kind)).concat() {
        let fragments = fragments(&playlist(&sandbox, &format!("{id}.m3u8")));
        let mut ends = BTreeMap::<String, u64>::new();
        for (file, offset, bytes, _) in &fragments {
            let end = ends.entry(file.clone()).or_default();
            assert_eq!(end, offset, "{id}: {file}");
            *end += bytes;
        }
        for (file, end) in &ends {
            assert_eq!(sandbox.out().join("stream").join(file).metadata().unwrap().len(), *end, "{file}");
        }
        let bytes: u64 = fragments.iter().map(|fragment| fragment.2).sum();
        let us: u64 = fragments.iter().map(|fragment| fragment.3).sum();
        average.insert(id, bytes as f64 * 8e6 / us as f64);
    }
    let master = playlist(&sandbox, "master.m3u8");
    let lines: Vec<&str> = master.lines().collect();
    let variants = lines.windows(2).filter(|pair| pair[0].starts_with("#EXT-X-STREAM-INF:"));
    for pair in variants.clone() {
        let stated = pair[0].split("AVERAGE-BANDWIDTH=").nth(1).unwrap().split(',').next().unwrap();
        let stated: f64 = stated.parse().unwrap();
        let found = average[pair[1].trim_end_matches(".m3u8")] + average["audio-1"];
        assert!((stated / found - 1.0).abs() < 0.01, "{}: {stated}, by its bytes {found}", pair[1]);
    }
    assert_eq!(variants.count(), renditions(&document, "picture").len());

    // the same pictures in one file, with its index first
    let file = sandbox.out().join("progressive.mp4");
    let bytes = std::fs::read(&file).unwrap();
    let at = |kind: &[u8]| bytes.windows(4).position(|four| four == kind).unwrap();
    assert!(at(b"moov") < at(b"mdat"), "the index comes first");
    let source = fixture(Fixture::Long);
    assert_eq!(times(&file, 0), times(&source, start_us(&source)));
    assert_eq!(sandbox.certificate("progressive")["progressive"]["index_first"], true);
    assert!(sandbox.certificate("stream")["stream"]["renditions"].as_array().unwrap().len() >= 2);
}

#[test]
fn sound_alone_is_a_stream_of_sound() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::SoundOnly));
    run(&sandbox, &source, "2s", &format!("{STREAM}{PROGRESSIVE}"));
    let master = playlist(&sandbox, "master.m3u8");
    assert!(master.contains("TYPE=AUDIO") && !master.contains("RESOLUTION"), "{master}");
    let length = |path: &Path| {
        let text = ffprobe(path, &["-show_entries", "format=duration"]);
        text.trim().parse::<f64>().unwrap()
    };
    let stream = length(&sandbox.out().join("stream/master.m3u8"));
    assert!((stream - length(&source)).abs() < 0.1, "{stream} s");
    let file = streams(&sandbox.out().join("progressive.mp4"));
    assert_eq!((file.len(), &file[0]["codec_type"]), (1, &Value::from("audio")), "{file:#?}");
}

#[test]
fn pictures_that_begin_long_after_the_sound_keep_their_times() {
    let sandbox = Sandbox::new();
    let pictures = made(&sandbox, "pictures.mp4", "testsrc2=s=128x96:r=25:d=4");
    for late in ["5", "0.7"] {
        let source = sandbox.path(&format!("late-{late}.mkv"));
        let mut ffmpeg = Command::new("ffmpeg");
        ffmpeg.args(["-nostdin", "-v", "error", "-y", "-itsoffset", late, "-i"]).arg(&pictures);
        ffmpeg.args([
            "-f",
            "lavfi",
            "-i",
            "sine=r=48000:d=12",
            "-map",
            "0:v",
            "-map",
            "1:a",
            "-c:v",
            "copy",
            "-c:a",
            "aac",
        ]);
        assert!(ffmpeg.arg(&source).status().unwrap().success());
        let sandbox = Sandbox::new();
        run(&sandbox, &source, "2s", &format!("{STREAM}{PROGRESSIVE}"));
        assert_is_source(&sandbox, &source, late);
        let sound = fragments(&playlist(&sandbox, "audio-1.m3u8"));
        let us: u64 = sound.iter().map(|fragment| fragment.3).sum();
        assert!(us.abs_diff(12_000_000) < 100_000, "{us} us of sound");
        assert!(sound.iter().all(|fragment| fragment.3 <= 2_000_000), "{sound:?}");
    }
}

#[test]
fn titles_of_tracks_are_made_fit_for_playlists() {
    let sandbox = Sandbox::new();
    let source = sandbox.path("titles.mkv");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "sine=r=48000:d=2"]);
    ffmpeg.args(["-map", "0:a", "-map", "0:a", "-map", "0:a", "-map", "0:a", "-c:a", "aac"]);
    for (track, title) in ["A", "A (2)", "A", "#\t\"tab\" \u{85}"].iter().enumerate() {
        ffmpeg.args([format!("-metadata:s:a:{track}"), format!("title={title}")]);
    }
    assert!(ffmpeg.arg(&source).status().unwrap().success());
    run(&sandbox, &source, "2s", STREAM);
    let master = playlist(&sandbox, "master.m3u8");
    for name in ["NAME=\"A\"", "NAME=\"A (2)\"", "NAME=\"A (3)\"", "NAME=\"tab\""] {
        assert_eq!(master.matches(name).count(), 1, "{name}: {master}");
    }
}

#[test]
fn the_files_of_others_are_not_replaced() {
    for name in ["progressive.mp4", "stream/mine.txt", "stream.certificate.json"] {
        let sandbox = Sandbox::new();
        let path = sandbox.out().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "mine").unwrap();
        let text = format!("version = 2\nname = \"mine\"\n{STREAM}{PROGRESSIVE}");
        let recipe = sandbox.file("recipe.toml", text).display().to_string();
        let ended = sandbox.end(&mut sandbox.run(&fixture(Fixture::Tiny), &["--recipe", &recipe]));
        assert_eq!(ended.code, Some(2), "{name}: {ended:#?}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine", "{name}");
    }
}

#[test]
fn every_language_is_a_rendition_of_its_own() {
    let (sandbox, source) = (Sandbox::new(), fixture(Fixture::ManySounds));
    run(&sandbox, &source, "2s", STREAM);
    let master = playlist(&sandbox, "master.m3u8");
    let media: Vec<&str> =
        master.lines().filter(|line| line.starts_with("#EXT-X-MEDIA:TYPE=AUDIO")).collect();
    assert_eq!(media.len(), 3, "{master}");
    assert_eq!(media.iter().filter(|line| line.contains("DEFAULT=YES")).count(), 1, "{master}");
    assert!(media.iter().all(|line| line.contains("LANGUAGE=\"")), "{master}");
}

#[test]
fn a_part_whose_worker_fails_is_made_again_alone() {
    let sandbox = Sandbox::new();
    let (log, tried) = (sandbox.path("log"), sandbox.path("tried"));
    // the third start of an encoder of parts fails once
    let body = format!(
        "case \"$*\" in *filter_complex*) echo part >> {log}; \
         [ \"$(wc -l < {log})\" != 3 ] || [ -e {tried} ] || {{ touch {tried}; kill -9 $$; }};; esac\nexec ffmpeg \"$@\"",
        log = log.display(),
        tried = tried.display()
    );
    let ffmpeg = sandbox.script("ffmpeg", &body);
    let text = format!("version = 2\nname = \"mine\"\nsegment_duration = \"2s\"\n{STREAM}");
    let recipe = sandbox.file("recipe.toml", text).display().to_string();
    let mut command = sandbox.run(&fixture(Fixture::Long), &["--recipe", &recipe]);
    let ended = sandbox.end(command.env("SEGUE_FFMPEG", ffmpeg).env("SEGUE_SANDBOX", "off"));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(tried.exists(), "no encoder was killed");
    let parts = document(&sandbox)["plan"]["parts"].as_array().unwrap().len();
    let starts = std::fs::read_to_string(&log).unwrap().lines().count();
    assert_eq!(starts, parts + 1, "one part is encoded twice");
}

/// Plays the output folder in Chromium; returns what `tests/browser/play.mjs` saw.
fn play(sandbox: &Sandbox, players: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/play.mjs");
    let mut node = sandbox.command("node");
    let ended = sandbox.end(node.arg(script).arg(sandbox.out()).args(["--players", players]));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    serde_json::from_str(&ended.stdout).unwrap()
}

#[test]
fn players_play_every_part_in_every_size_with_subtitles() {
    let models = model_dir().expect("models are fetched by scripts/test");
    let sandbox = Sandbox::new();
    let (clip, words) = speech();
    let source = sandbox.path("talk.mp4");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=s=640x480:r=30", "-i"]);
    ffmpeg.arg(&clip).args([
        "-shortest",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-g",
        "45",
        "-c:a",
        "aac",
    ]);
    assert!(ffmpeg.arg(&source).status().unwrap().success());
    let outputs = format!(
        "[outputs.transcript]\nkind = \"transcript\"\n[outputs.stream]\nkind = \"stream\"\nneeds = [\"transcript\"]\n\
         subtitles = true\npreset = \"ultrafast\"\nfragment = \"1s\"\n{PROGRESSIVE}"
    );
    let text = format!("version = 2\nname = \"mine\"\nsegment_duration = \"2s\"\n{outputs}");
    let recipe = sandbox.file("recipe.toml", text).display().to_string();
    let mut command = sandbox.run(&source, &["--recipe", &recipe]);
    let ended = sandbox.end(command.env("SEGUE_MODEL_DIR", models));
    assert_eq!(ended.code, Some(0), "{ended:#?}");

    let report = play(&sandbox, "hls,dash,shaka,file");
    let parts = report["starts"].as_array().unwrap().len();
    for (name, player) in report["players"].as_object().unwrap() {
        // what a player cancels itself when a viewer switches is no error
        let events = player["events"].as_array().unwrap();
        let events: Vec<&Value> = events.iter().filter(|event| event[1] != "aborted").collect();
        assert!(events.is_empty(), "{name}: {events:?}");
        let seeks = player["seeks"].as_array().unwrap();
        assert_eq!(seeks.len(), parts, "{name}");
        for seek in seeks {
            let (target, shown) = (seek["target"].as_f64().unwrap(), seek["shown"].as_f64());
            let off = shown.map(|shown| (shown - target).abs());
            assert!(off.is_some_and(|off| off < 0.04), "{name}: {seek}");
        }
        assert_eq!(player["played"]["ended"], true, "{name}: {player:#}");
        assert!(player["played"]["error"].is_null(), "{name}: {player:#}");
        if name != "file" {
            let widths = player["widths"].as_array().unwrap();
            assert!(widths.len() >= 2, "{name}");
            assert!(widths.iter().all(|pair| pair[0] == pair[1]), "{name} did not switch: {widths:?}");
        }
        let cues = player["cues"].as_array().unwrap();
        let heard =
            cues.iter().map(|cue| cue[2].as_str().unwrap()).collect::<Vec<_>>().join(" ").to_lowercase();
        let known = words.iter().filter(|word| heard.contains(&word.to_lowercase())).count();
        assert!(known * 2 > words.len(), "{name} shows {heard:?}");
    }
    // the page needs nothing from elsewhere
    let page = std::fs::read_to_string(sandbox.out().join("stream/player.html")).unwrap();
    assert!(!page.contains("src=\"http") && page.contains("hls"), "the page loads nothing");
    assert!(page.len() > 100_000, "hls.js is in the page");
}

#[test]
fn a_stream_that_makes_no_sense_is_refused_with_the_reason() {
    for (outputs, words) in [
        (STREAM.replace("fragment = \"1s\"", "fragment = \"30s\""), "fragment is not between"),
        (format!("{STREAM}heights = [5]"), "the height 5 is not between"),
        (format!("{STREAM}subtitles = true"), "needs one transcript"),
        (format!("{STREAM}kbps = 800\ncrf = 30"), "crf has no effect"),
        ("[outputs.progressive]\nkind = \"progressive\"".to_owned(), "it is made from one stream"),
        (
            format!("{STREAM}preset = \"warp\"").replacen("preset = \"ultrafast\"\n", "", 1),
            "preset is none of",
        ),
    ] {
        let sandbox = Sandbox::new();
        let text = format!("version = 2\nname = \"mine\"\n{outputs}\n");
        let recipe = sandbox.file("recipe.toml", text).display().to_string();
        let ended = sandbox.end(&mut sandbox.run(&fixture(Fixture::Tiny), &["--recipe", &recipe]));
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        ended.assert_one_line(&[words]);
    }
}

#[test]
fn other_codecs_have_the_same_pictures() {
    for (codec, preset, name) in [("hevc", "ultrafast", "hvc1."), ("av1", "13", "av01.")] {
        let (sandbox, source) = (Sandbox::new(), fixture(Fixture::Vfr));
        let encoder = if codec == "hevc" { "libx265" } else { "libsvtav1" };
        assert!(segue_tests::has_encoder(encoder), "Debian's ffmpeg has {encoder}");
        let outputs = STREAM.replace("ultrafast", preset) + &format!("codec = \"{codec}\"\n");
        run(&sandbox, &source, "2s", &outputs);
        assert_is_source(&sandbox, &source, codec);
        let master = playlist(&sandbox, "master.m3u8");
        assert!(master.contains(&format!("CODECS=\"{name}")), "{master}");
    }
}

#[test]
fn a_bit_rate_that_is_set_is_used_and_a_file_is_not_written_twice() {
    let sandbox = Sandbox::new();
    let source = fixture(Fixture::Long);
    run(&sandbox, &source, "4s", &format!("{STREAM}kbps = 300\ndash = false\n"));
    let document = document(&sandbox);
    let id = &renditions(&document, "picture")[0];
    let fragments = fragments(&playlist(&sandbox, &format!("{id}.m3u8")));
    let bytes: u64 = fragments.iter().map(|fragment| fragment.2).sum();
    let us: u64 = fragments.iter().map(|fragment| fragment.3).sum();
    let kbps = bytes as f64 * 8e3 / us as f64;
    assert!((150.0..450.0).contains(&kbps), "{kbps} kbit/s");
    assert!(!sandbox.out().join("stream/manifest.mpd").exists());
    let before = sha256(&sandbox.out().join("stream/stream.json"));
    let recipe = sandbox.path("recipe.toml").display().to_string();
    sandbox.done(&source, &["--recipe", &recipe]);
    assert_eq!(sha256(&sandbox.out().join("stream/stream.json")), before, "nothing to do");
}

//! Outputs of kind `poster` and `storyboard`: which frame is chosen, what lies where on the sheets, and
//! odd pictures.

use std::path::Path;
use std::process::Command;

use segue_tests::{Fixture, Sandbox, counted_colour, fixture, streams};

/// Runs a recipe with segments of 3 s.
fn run(sandbox: &Sandbox, which: Fixture, outputs: &str) {
    run_with("ffmpeg", sandbox, which, outputs);
}

fn run_with(ffmpeg: &str, sandbox: &Sandbox, which: Fixture, outputs: &str) {
    let text = format!("version = 2\nname = \"mine\"\nsegment_duration = \"3s\"\n{outputs}\n");
    let recipe = sandbox.file("recipe.toml", text).display().to_string();
    let mut command = sandbox.run(&fixture(which), &["--recipe", &recipe]);
    let ended = sandbox.end(command.env("SEGUE_FFMPEG", ffmpeg));
    assert_eq!(ended.code, Some(0), "{which:?}: {outputs}: {ended:#?}");
    sandbox.assert_published();
}

const POSTER: &str = "[outputs.poster]\nkind = \"poster\"\n";
const STORYBOARD: &str = "[outputs.storyboard]\nkind = \"storyboard\"\n";

/// Mean colour of a rectangle of a picture by ffmpeg.
fn colour(path: &Path, rectangle: Option<[u32; 4]>) -> [u8; 3] {
    let crop = rectangle.map_or(String::new(), |[x, y, w, h]| format!("crop={w}:{h}:{x}:{y},"));
    let pixels = decoded(path, &format!("{crop}scale=1:1:flags=area"));
    [pixels[0], pixels[1], pixels[2]]
}

/// The first frame as RGB, filtered.
fn decoded(path: &Path, filters: &str) -> Vec<u8> {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-i"]).arg(path);
    let filters = format!("{filters},format=rgb24");
    let ended = ffmpeg.args(["-vf", &filters, "-frames:v", "1", "-f", "rawvideo", "-"]).output().unwrap();
    assert!(ended.status.success(), "{}: {}", path.display(), String::from_utf8_lossy(&ended.stderr));
    ended.stdout
}

/// The mean colour of a picture in linear light, which is that of a BlurHash.
fn mean_light(path: &Path) -> [u8; 3] {
    let pixels = decoded(path, "null");
    let mean = |channel: usize| {
        let light = pixels.iter().skip(channel).step_by(3).map(|v| (f64::from(*v) / 255.0).powf(2.2));
        let mean = light.sum::<f64>() / (pixels.len() / 3) as f64;
        (mean.powf(1.0 / 2.2) * 255.0).round() as u8
    };
    [mean(0), mean(1), mean(2)]
}

/// Width and height of a picture or video.
fn size(path: &Path) -> (u64, u64) {
    let found = streams(path).remove(0);
    (found["width"].as_u64().unwrap(), found["height"].as_u64().unwrap())
}

fn assert_near(found: [u8; 3], expected: [u8; 3], what: &str) {
    let off = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
    assert!(off <= 12, "{what}: {found:?} instead of {expected:?}");
}

/// One cue of an index: milliseconds, and a rectangle of a sheet.
#[derive(Debug)]
struct Cue {
    start: u32,
    end: u32,
    sheet: String,
    place: [u32; 4],
}

fn cues(sandbox: &Sandbox) -> Vec<Cue> {
    let text = std::fs::read_to_string(sandbox.out().join("storyboard.vtt")).expect("there is an index");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("WEBVTT"));
    let ms = |clock: &str| {
        let (whole, ms) = clock.split_once('.').unwrap();
        whole.split(':').fold(0, |all, part| all * 60 + part.parse::<u32>().unwrap()) * 1000
            + ms.parse::<u32>().unwrap()
    };
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    let cue = |pair: &[&str]| {
        let (start, end) = pair[0].split_once(" --> ").unwrap();
        let (sheet, place) = pair[1].split_once("#xywh=").unwrap();
        let place: Vec<u32> = place.split(',').map(|n| n.parse().unwrap()).collect();
        let place = [place[0], place[1], place[2], place[3]];
        Cue { start: ms(start), end: ms(end), sheet: sheet.to_owned(), place }
    };
    lines.chunks(2).map(cue).collect()
}

/// Frame that is shown at a time.
type Shown = fn(u32) -> u32;

/// A source, settings of a storyboard, its number of pictures, and the frame that is shown at a time in
/// milliseconds.
pub type Case = (Fixture, &'static str, usize, Shown);

pub fn steady(ms: u32) -> u32 {
    ms * 25 / 1000
}

pub fn with_gaps(ms: u32) -> u32 {
    let (round, within) = (ms / 5000, ms % 5000);
    round * 125 + (within * 25 / 1000).min(24)
}

#[test]
fn each_picture_is_the_frame_that_is_shown_at_its_time() {
    let cases: [Case; 6] = [
        (Fixture::Counting, "", 20, steady),
        (Fixture::Counting, "interval = \"730ms\"\ncolumns = 3\nrows = 2", 17, steady),
        (Fixture::Counting, "interval = \"4s\"", 3, steady),
        (Fixture::CountingTs, "interval = \"1s\"", 12, steady),
        (Fixture::CountingGaps, "interval = \"4s\"", 3, with_gaps),
        (Fixture::CountingGaps, "interval = \"900ms\"\ncolumns = 2\nrows = 4", 13, with_gaps),
    ];
    check_storyboards("ffmpeg", &cases);
}

/// Makes storyboards with this ffmpeg, and checks the colour of every picture.
pub fn check_storyboards(ffmpeg: &str, cases: &[Case]) {
    for &(which, settings, count, shown) in cases {
        let sandbox = Sandbox::new();
        run_with(ffmpeg, &sandbox, which, &format!("{STORYBOARD}width = 64\n{settings}\n"));
        let cues = cues(&sandbox);
        // a source with gaps may end at its last frame
        assert!(
            cues.len().abs_diff(count) <= usize::from(which == Fixture::CountingGaps),
            "{which:?}: {cues:?}"
        );
        assert_eq!(cues[0].start, 0);
        assert!(cues.windows(2).all(|pair| pair[0].end == pair[1].start), "{cues:?}");
        for Cue { start, sheet, place, .. } in &cues {
            let found = colour(&sandbox.out().join(sheet), Some(*place));
            let what = format!("{which:?} {settings:?} at {start} ms");
            assert_eq!((place[2], place[3]), (64, 48), "{what}");
            assert_near(found, counted_colour(shown(*start)), &what);
        }
        let proof = &sandbox.certificate("storyboard")["storyboard"];
        assert_eq!(proof["pictures"], cues.len(), "{proof:#}");
        assert_eq!(proof["size"], serde_json::json!([64, 48]), "{proof:#}");
    }
}

#[test]
fn a_sheet_is_full_before_the_next_and_pictures_are_files_on_request() {
    let sandbox = Sandbox::new();
    let settings = "interval = \"500ms\"\nwidth = 32\ncolumns = 4\nrows = 4\nfiles = true\nfiles_width = 48";
    run(&sandbox, Fixture::Counting, &format!("{STORYBOARD}{settings}\n"));
    let cues = cues(&sandbox);
    assert_eq!(cues.len(), 24);
    assert_eq!(size(&sandbox.out().join("storyboard-000.jpg")), (128, 96));
    assert_eq!(size(&sandbox.out().join("storyboard-001.jpg")), (128, 48));
    assert_eq!((cues[15].sheet.as_str(), cues[15].place), ("storyboard-000.jpg", [96, 72, 32, 24]));
    assert_eq!((cues[16].sheet.as_str(), cues[16].place), ("storyboard-001.jpg", [0, 0, 32, 24]));
    for (number, Cue { start, .. }) in cues.iter().enumerate() {
        let path = sandbox.out().join(format!("storyboard/{number:05}.jpg"));
        assert_eq!(size(&path), (48, 36));
        assert_near(colour(&path, None), counted_colour(steady(*start)), &format!("file at {start} ms"));
    }
    assert!(!sandbox.out().join("storyboard/00024.jpg").exists());
}

#[test]
fn a_preview_is_a_few_seconds_from_several_places() {
    for (format, which, frames) in
        [("webp", Fixture::Long, 50), ("mp4", Fixture::Long, 50), ("mp4", Fixture::Tiny, 30)]
    {
        let sandbox = Sandbox::new();
        run(&sandbox, which, &format!("{STORYBOARD}preview = \"{format}\"\n"));
        let path = sandbox.out().join(format!("preview.{format}"));
        let bytes = std::fs::read(&path).unwrap();
        let found = if format == "webp" {
            bytes.windows(4).filter(|chunk| chunk == b"ANMF").count()
        } else {
            streams(&path)[0]["nb_frames"].as_str().unwrap().parse().unwrap()
        };
        assert_eq!(found, frames, "{format} of {which:?}");
    }
}

#[test]
fn a_poster_is_sharp_and_neither_black_nor_white() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::Looks, POSTER);
    let document = sandbox.document("poster.json");
    let at = document["at_ms"].as_u64().unwrap();
    assert!((8_000..12_000).contains(&at), "{document:#}");
    for name in ["poster.jpg", "poster.webp"] {
        let path = sandbox.out().join(name);
        assert_eq!(size(&path), (320, 240), "{name}");
        let hash = document["blurhash"].as_str().unwrap();
        assert_near(mean_of_blurhash(hash), mean_light(&path), name);
    }
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::Counting, &format!("{POSTER}at = \"5s\"\nwidth = 32\nformats = [\"webp\"]\n"));
    let path = sandbox.out().join("poster.webp");
    assert_eq!(size(&path), (32, 24));
    assert_near(colour(&path, None), counted_colour(125), "poster at 5 s");
    assert!(!sandbox.out().join("poster.jpg").exists());
}

/// The mean colour in a BlurHash: its third to sixth characters, in base 83.
fn mean_of_blurhash(hash: &str) -> [u8; 3] {
    const DIGITS: &str =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~";
    assert_eq!(hash.len(), 4 + 2 * 4 * 3, "{hash}");
    let value = hash[2..6].chars().fold(0, |all, c| all * 83 + DIGITS.find(c).unwrap() as u32);
    [(value >> 16) as u8, (value >> 8) as u8, value as u8]
}

#[test]
fn odd_pictures_have_posters_and_storyboards() {
    for (which, poster, tile, count) in [
        (Fixture::OneFrame, (160, 120), (160, 120), 1),
        (Fixture::Tiny, (16, 16), (16, 16), 6),
        (Fixture::Rotated, (120, 160), (120, 160), 12),
        (Fixture::Cover, (160, 120), (160, 120), 12),
        (Fixture::Fragmented, (160, 120), (160, 120), 12),
        (Fixture::Mpeg2Ps, (160, 120), (160, 120), 12),
    ] {
        let sandbox = Sandbox::new();
        run(&sandbox, which, &format!("{POSTER}{STORYBOARD}"));
        assert_eq!(size(&sandbox.out().join("poster.jpg")), poster, "{which:?}");
        assert_eq!(size(&sandbox.out().join("poster.webp")), poster, "{which:?}");
        let cues = cues(&sandbox);
        assert!(cues.len().abs_diff(count) <= 1, "{which:?}: {} pictures", cues.len());
        let [_, _, width, height] = cues[0].place;
        assert_eq!((width, height), tile, "{which:?}");
    }
}

#[test]
fn sources_without_a_moving_picture_complete() {
    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::CoverOnly, &format!("{POSTER}{STORYBOARD}"));
    assert_eq!(size(&sandbox.out().join("poster.jpg")), (96, 64));
    let output = sandbox.output("storyboard");
    assert!(output["reason"].as_str().unwrap().contains("no moving picture"), "{output:#}");

    let sandbox = Sandbox::new();
    run(&sandbox, Fixture::SoundOnly, &format!("{POSTER}{STORYBOARD}"));
    for (name, words) in [("poster", "no picture"), ("storyboard", "no moving picture")] {
        let output = sandbox.output(name);
        assert_eq!(output["files"].as_array().unwrap().len(), 0, "{output:#}");
        assert!(output["reason"].as_str().unwrap().contains(words), "{output:#}");
    }
}
